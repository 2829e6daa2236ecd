"""The figures of a round: the same keys as ever, read back typed, whatever else a file holds."""

import subprocess
import sys
from dataclasses import fields

import pytest
from round_records import JOB, MINED, SUMMARY

from whet.mine.summary import MiningSummary
from whet.train.refresh.round_log import JobLog, MinedLog, RoundLog


@pytest.mark.parametrize(("log", "record"), [(JobLog, JOB), (MinedLog, MINED), (RoundLog, SUMMARY)])
def test_records_are_read_back_with_their_keys_in_order(log, record):
    written = log.from_json(record).to_json()
    assert list(written.items()) == list(record.items())


def test_keys_of_other_versions_are_ignored_and_missing_ones_have_defaults():
    older = {key: value for key, value in SUMMARY.items() if key != "suspected_share"}
    log = RoundLog.from_json(older | {"replayed": True})
    assert log.suspected_share == 0.0
    assert "replayed" not in log.to_json()


def test_every_figure_of_mining_is_kept():
    assert {field.name for field in fields(MiningSummary)} <= {
        field.name for field in fields(MinedLog)
    }


def test_installing_adds_the_step_and_the_time():
    log = MinedLog.from_json(MINED).installed(
        used_from=14, new_queries=20, overlap=0.5000049, more_seconds=0.5
    )
    assert log == RoundLog.from_json(SUMMARY | {"seconds": 7.75})
    assert log.unchanged == 0.5 * 0.75


def test_a_line_says_what_a_round_came_to():
    assert RoundLog.from_json(SUMMARY).line == (
        "step 12: re-mined negatives of 1,500 queries in 4,200 passages (a pool with about 75% of "
        "the corpus's best ranks; raise refresh.depth for more), used from step 14; 50% are new, "
        "12.5% suspected answers; 7 s"
    )
    full = SUMMARY | {"cost": "full", "used_from": 12, "recall": 1.0}
    assert "in 4,200 passages; 50% are new" in RoundLog.from_json(full).line


def test_reading_logs_loads_no_torch():
    code = "import sys, whet.train.refresh.round_log; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
