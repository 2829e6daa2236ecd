"""The table of suspects: a spreadsheet reads it, and marks of an earlier table stay."""

import csv

import pytest

from whet.data.audit_marks import Mark
from whet.teach.audit import Suspect
from whet.teach.audit_table import BOM, COLUMNS, as_table

ANSWERS = {"q1": "an answer", "q2": "another, with a comma"}


def suspect(query, passage):
    return Suspect(query, passage, 0.5, 1, f"text of {query}", "line\nbreak", {"t": 1}, {"t": 2})


def read_table(table):
    assert table.startswith(BOM)
    lines = table.removeprefix(BOM).splitlines(keepends=True)
    return list(csv.DictReader(lines))


@pytest.fixture
def suspects():
    return [suspect("q1", "p1"), suspect("q2", "p2")]


def test_a_row_for_each_suspect_with_nothing_marked(suspects):
    rows = read_table(as_table(suspects, ANSWERS))
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    assert rows[1] == {
        "accept": "",
        "probability": "0.5",
        "query": "text of q2",
        "passage": "line\nbreak",
        "known answer": "another, with a comma",
        "reason": "base rank 1; t 1 (known answer 2)",
        "query_id": "q2",
        "passage_id": "p2",
    }


def test_earlier_marks_stay(suspects):
    still = {"accept": "no", "query_id": "q1", "passage_id": "p1", "query": "old text"}
    gone = {"accept": "yes", "query_id": "q9", "passage_id": "p9", "own column": "dropped"}
    marks = [Mark("t:2", "q1", "p1", 0, still), Mark("t:3", "q9", "p9", 1, gone)]
    rows = read_table(as_table(suspects, ANSWERS, marks))
    marked = [(row["query_id"], row["passage_id"], row["accept"]) for row in rows]
    assert marked == [("q1", "p1", "no"), ("q2", "p2", ""), ("q9", "p9", "yes")]
    assert rows[0]["query"] == "text of q1"
