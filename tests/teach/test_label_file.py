"""Labels on disk: what is written is read back, and a damaged file is named."""

import numpy as np
import pandas
import pytest

from whet.errors import ArtifactError
from whet.teach.label_file import LABELS, read_labels, write_labels


def test_labels_are_read_back_by_query(tmp_path):
    ids = [("q1", "p1"), ("q2", "p1"), ("q1", "p2")]
    relevant = np.array([True, False, False])
    labels = np.array([0.9, 0.2, 0.3])
    write_labels(tmp_path, ids, relevant, labels, {"bm25": labels / 2})
    assert read_labels(tmp_path) == {"q1": {"p1": 0.9, "p2": 0.3}, "q2": {"p1": 0.2}}
    table = pandas.read_parquet(tmp_path / LABELS)
    assert list(table) == ["query_id", "passage_id", "relevant", "label", "bm25"]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / LABELS).write_bytes(b"no parquet")
    with pytest.raises(ArtifactError, match=r"labels\.parquet: cannot be read"):
        read_labels(tmp_path)
