"""A report as lines for people, and as JSON for programs."""

import json
from dataclasses import replace

from whet.data.check_report import CheckReport, NearTexts, SplitSize
from whet.errors import Fault

FAULT = Fault("bad-json", "corpus.jsonl:3", "not valid JSON", "Write one object a line.")
REPORT = CheckReport(
    name="planted",
    passages=90,
    queries=40,
    splits={"train": SplitSize(20, 21), "dev": SplitSize(0, 0), "test": SplitSize(20, 20)},
    faults=(FAULT,),
    duplicate_passages=1,
    duplicate_queries=0,
    near_duplicates=(),
    leaks=(NearTexts("query", "test", "q48", "q3", 0.91),),
    truncated=None,
    notes=("leaks: 20 of 30 training queries compared",),
)


def test_lines_name_sizes_then_faults_then_notes():
    assert REPORT.lines() == [
        "planted: 90 passages, 40 queries",
        "train: 20 queries, 21 positives",
        "test: 20 queries, 20 positives",
        "error: corpus.jsonl:3: not valid JSON [bad-json] Cure: Write one object a line.",
        "note: leaks: 20 of 30 training queries compared",
    ]


def test_lines_say_so_where_there_is_no_fault():
    assert replace(REPORT, faults=(), notes=()).lines()[-1] == "no fault found"


def test_everything_is_plain_json():
    values = json.loads(json.dumps(REPORT.to_json()))
    assert list(values) == [
        "name",
        "passages",
        "queries",
        "splits",
        "faults",
        "duplicate_passages",
        "duplicate_queries",
        "near_duplicates",
        "leaks",
        "truncated",
        "notes",
    ]
    assert values["splits"]["train"] == {"queries": 20, "positives": 21}
    assert values["faults"][0]["where"] == "corpus.jsonl:3"
    assert values["leaks"] == [
        {"kind": "query", "split": "test", "id": "q48", "other": "q3", "overlap": 0.91}
    ]
