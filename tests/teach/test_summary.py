"""The record of the teach stage: it is read back as written, and loads no torch."""

import json
import subprocess
import sys

import pytest

from whet.teach.quality import Quality
from whet.teach.summary import TeachSummary

TAUGHT = {
    "pairs": 12,
    "positives": 3,
    "mean_label_of_positives": 0.9,
    "mean_label_of_others": 0.25,
    "teachers": {
        "base": {"auc": 0.9, "auprc": 0.8, "ndcg": 0.7},
        "bm25": {"auc": 0.4, "auprc": 0.3, "ndcg": 0.2},
    },
    "left_out": ["bm25"],
    "agreement": [[1.0, 0.5], [0.5, 1.0]],
}


@pytest.mark.parametrize("record", [TAUGHT, {"pairs": 0}])
def test_a_record_is_read_and_written_as_it_was(record):
    summary = TeachSummary.from_json(record)
    assert summary.to_json() == record
    written = json.dumps(summary.to_json())
    assert list(json.loads(written)) == list(record)
    assert TeachSummary.from_json(json.loads(written)) == summary


def test_what_a_record_holds():
    summary = TeachSummary.from_json(TAUGHT)
    assert summary.teachers["bm25"] == Quality(0.4, 0.3, 0.2)
    assert summary.chosen == ["base"]
    assert TeachSummary.from_json({"pairs": 0}).chosen == []


def test_reading_a_summary_loads_no_torch():
    code = "import sys, whet.teach.summary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
