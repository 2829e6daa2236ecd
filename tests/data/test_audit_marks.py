"""Marks of audited pairs.

Proved: an accepted passage becomes a positive and a refused one is judged irrelevant, whatever the
file's format; and every row that cannot be used is named, with what is wrong in it.
"""

import json

import pytest

from whet.data.audit_marks import read_marks, with_marks
from whet.data.faults import Faults
from whet.errors import ConfigError, DataError
from whet.records import Collection, Passage

TEXTS = {
    "a": "alpha is the first letter",
    "b": "beta comes second",
    "c": "gamma comes third",
    "h": "held out for the test",
    "copy": "HELD out for  the test",
}
HEADER = "accept,query_id,passage_id"


@pytest.fixture
def letters():
    passages = {name: Passage(name, text) for name, text in TEXTS.items()}
    queries = {"q0": "first letter", "q1": "second letter", "qt": "test letter"}
    train = {"q0": {"a": 1}, "q1": {"b": 1}}
    return Collection("letters", passages, queries, {"train": train, "test": {"qt": {"h": 1}}})


def marked_file(folder, *rows, header=HEADER):
    path = folder / "marked.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_marks_become_judgements(letters, tmp_path):
    file = marked_file(tmp_path, "Yes,q0,b", "no,q1,c", ",q1,a", "x,q1,a")
    train = with_marks(letters, file).qrels["train"]
    assert train == {"q0": {"a": 1, "b": 1}, "q1": {"b": 1, "c": 0, "a": 1}}
    assert letters.qrels["train"] == {"q0": {"a": 1}, "q1": {"b": 1}}  # as it was


def test_marks_from_the_page_are_json_lines(letters, tmp_path):
    row = {"query_id": "q0", "passage_id": "c", "accept": "yes", "passage": "Gamma comes"}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row) + "\n")
    assert with_marks(letters, tmp_path / "labels.jsonl").qrels["train"]["q0"]["c"] == 1


def test_a_known_answer_stays_one_though_it_is_refused(letters, tmp_path, caplog):
    marked = with_marks(letters, marked_file(tmp_path, "no,q0,a", "yes,q0,b"))
    assert marked.qrels["train"]["q0"] == {"a": 1, "b": 1}
    assert "is a known answer of query 'q0', and stays one" in caplog.text


def test_a_mark_that_stands_twice_counts_once(tmp_path):
    faults = Faults()
    marks = read_marks(marked_file(tmp_path, "yes,q0,b", "1,q0,b"), faults)
    assert [(mark.query, mark.passage, mark.accepted) for mark in marks] == [("q0", "b", 1)]
    assert not faults


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (HEADER, ["maybe,q0,b"], "accept is 'maybe'"),
        (HEADER, ["yes,q0,nothing"], "passage 'nothing' is not in the training data"),
        (HEADER, ["yes,qt,b"], "query 'qt' with passage 'b' is not in the training data"),
        ("accept,query", ["yes,q0"], "columns are accept, query"),
        (HEADER, ["yes,q0,b", "no,q0,b"], r"the opposite for the same pair at .*marked\.csv:2"),
        (f"{HEADER},query", ["yes,q0,b,asked before"], "another text now"),
        (HEADER, ["yes,q0,h"], "answers a dev or test query"),
        (HEADER, ["yes,q0,copy"], "answers a dev or test query"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(letters, tmp_path, header, rows, message):
    with pytest.raises(DataError, match=message):
        with_marks(letters, marked_file(tmp_path, *rows, header=header))


def test_all_faulty_rows_are_named_at_once(letters, tmp_path):
    with pytest.raises(DataError) as caught:
        with_marks(letters, marked_file(tmp_path, "maybe,q0,b", "yes,q0,h", "yes,q0,nothing"))
    assert len(caught.value.faults) == 3


def test_a_file_without_marks_and_a_missing_one(letters, tmp_path):
    with pytest.raises(ConfigError, match="nothing is marked"):
        with_marks(letters, marked_file(tmp_path, ",q0,b"))
    with pytest.raises(ConfigError, match="no such file of labels"):
        with_marks(letters, tmp_path / "nowhere.csv")
