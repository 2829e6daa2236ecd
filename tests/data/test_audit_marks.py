"""Marks on audited pairs become judgements of training queries; marks that cannot are faults."""

import logging

import pytest

from whet.data.audit_marks import held_out_texts, read_marks, with_marks
from whet.data.faults import Faults
from whet.errors import ConfigError, DataError
from whet.records import Collection, Passage

HEADER = "accept,query_id,passage_id,query,passage\n"


@pytest.fixture
def collection():
    """Training queries q0 and q1, dev query q2, test query q3; p0 to p3 answer them."""
    texts = {f"p{n}": f"Passage number {n}." for n in range(5)}
    texts["copy"] = "PASSAGE  number 3."
    passages = {name: Passage(name, text) for name, text in texts.items()}
    queries = {f"q{n}": f"which is {n}?" for n in range(4)}
    qrels = {
        "train": {"q0": {"p0": 1}, "q1": {"p1": 2}},
        "dev": {"q2": {"p2": 1}},
        "test": {"q3": {"p3": 1}},
    }
    return Collection("data", passages, queries, qrels)


@pytest.fixture
def labels(tmp_path):
    """Return a function that writes rows below HEADER and gives the file's path."""

    def write(*rows, header=HEADER):
        path = tmp_path / "suspects.csv"
        path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_accepted_passages_become_positives_and_refused_ones_irrelevant(collection, labels, caplog):
    caplog.set_level(logging.INFO, "whet")
    path = labels(
        "yes,q0,p1,which is 0?,Passage number 1.",
        "x,q0,p4,,",
        " No ,q1,p0,WHICH is 1?,Passage num",
        ",q1,p4,,",
    )
    marked = with_marks(collection, path)
    assert marked.qrels["train"] == {
        "q0": {"p0": 1, "p1": 1, "p4": 1},
        "q1": {"p1": 2, "p0": 0},
    }
    assert marked.qrels["test"] == collection.qrels["test"]
    assert collection.qrels["train"]["q0"] == {"p0": 1}
    assert caplog.messages == [f"{path}: 2 pair(s) accepted, 1 refused"]
    assert with_marks(marked, path) == marked


def test_a_known_answer_stays_one_with_a_warning(collection, labels, caplog):
    marked = with_marks(collection, labels("no,q1,p1,,"))
    assert marked.qrels["train"]["q1"] == {"p1": 2}
    assert "is a known answer of query 'q1', and stays one [known-positive]" in caplog.text


def test_an_answer_of_a_held_out_query_may_be_refused(collection, labels):
    assert held_out_texts(collection) == {"passage number 2.", "passage number 3."}
    marked = with_marks(collection, labels("no,q0,p3,,"))
    assert marked.qrels["train"]["q0"] == {"p0": 1, "p3": 0}


@pytest.mark.parametrize(
    ("rows", "kinds", "message"),
    [
        (["maybe,q0,p4,,"], ["bad-mark"], "accept is 'maybe'"),
        (["yes,q0,p4,,", "0,q0,p4,,"], ["two-marks"], "the opposite for the same pair at"),
        (["yes,nobody,p4,,"], ["unknown-id"], "query 'nobody' with passage 'p4' is not in"),
        (["yes,q3,p4,,"], ["unknown-id"], "is not in the training data"),
        (["yes,q0,nothing,,"], ["unknown-id"], "passage 'nothing' is not in the training data"),
        (["yes,q0,p4,what else?,"], ["moved-id"], "another text now than when it was marked"),
        (["yes,q0,p4,,Something else."], ["moved-id"], "another text now"),
        (["yes,q0,p3,,"], ["held-out"], "answers a dev or test query"),
        (["yes,q0,copy,,"], ["held-out"], "answers a dev or test query"),
        (["yes,q0,p3,,", "what,q0,p4,,"], ["bad-mark", "held-out"], "accept is 'what'"),
    ],
)
def test_marks_that_cannot_be_used(collection, labels, rows, kinds, message):
    with pytest.raises(DataError, match=message) as caught:
        with_marks(collection, labels(*rows))
    assert [fault.kind for fault in caught.value.faults] == kinds


def test_other_columns_are_a_fault(labels):
    faults = Faults()
    assert read_marks(labels("yes,q0", header="accept,query\n"), faults) == []
    (fault,) = faults
    assert fault.kind == "missing-column"
    assert "columns are accept, query; expected query_id, passage_id, accept" in fault.message


def test_a_file_without_marks_and_no_file_are_refused(collection, labels, tmp_path):
    with pytest.raises(ConfigError, match="nothing is marked"):
        with_marks(collection, labels(",q0,p4,,"))
    with pytest.raises(ConfigError, match="no such file of labels"):
        with_marks(collection, tmp_path / "gone.csv")
