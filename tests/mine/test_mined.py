"""Mined negatives survive the disk, odd characters included."""

import pytest

from whet.errors import ArtifactError
from whet.mine.mined import read_mined, write_mined
from whet.records import MinedQuery, Negative


def test_what_is_written_is_read(tmp_path):
    mined = [
        MinedQuery(
            "q\u2028 ä", (Negative("p 1", 3, 0.123457, "ance"), Negative("p\x85", 1, -0.5, "given"))
        ),
        MinedQuery("lonely", ()),
    ]
    write_mined(tmp_path / "mined.jsonl", mined)
    assert read_mined(tmp_path / "mined.jsonl") == mined


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "mined.jsonl").write_text('{"query_id": "q", "nega')
    with pytest.raises(ArtifactError, match=r"mined\.jsonl"):
        read_mined(tmp_path / "mined.jsonl")
