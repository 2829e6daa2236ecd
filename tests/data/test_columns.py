"""Columns are found by their names, in any order and case."""

import logging

import pytest

from data_files import assert_faults, broken_table, by_text, cases, read_sound, write_jsonl
from whet.data.columns import Columns, find_columns
from whet.data.faults import Faults
from whet.data.read import read


@pytest.mark.parametrize("query", ["query", "question", "anchor"])
@pytest.mark.parametrize(
    "positive", ["positive", "positives", "pos", "answer", "passage", "document"]
)
@pytest.mark.parametrize(
    "negative", ["negative", "negatives", "neg", "hard_negatives", "negative_1"]
)
def test_names(tmp_path, query, positive, negative):
    write_jsonl(tmp_path / "pairs.jsonl", [{negative: "n", positive: "p", query: "q"}])
    assert by_text(read_sound(tmp_path / "pairs.jsonl")) == {
        "qrels": {"train": {"q": {"p": 1}}},
        "negatives": {"q": ["n"]},
        "positive_queries": {},
    }


def test_numbered_negatives_follow_the_list_of_all_in_the_order_of_their_numbers():
    names = ["neg_10", "Negative2", "negatives", "neg1", "Answer", "QUERY", "neg_q", "label"]
    faults = Faults()
    assert find_columns(names, "pairs.csv:2", faults) == Columns(
        query="QUERY",
        positive="Answer",
        negatives=("negatives", "neg1", "Negative2", "neg_10"),
        negative_queries="neg_q",
        grade="label",
    )
    assert not faults


def test_ignored_columns_are_named_and_two_positives_are_warned_of(tmp_path, caplog):
    caplog.set_level(logging.INFO, "whet")
    row = {"query": "q", "pos": ["p"], "answer": "a", "pos_scores": [1]}
    write_jsonl(tmp_path / "pairs.jsonl", [row])
    _, (fault,) = read(tmp_path / "pairs.jsonl")
    assert (fault.kind, fault.level) == ("ambiguous-column", "warning")
    assert "columns ignored: answer, pos_scores" in caplog.text


@cases(
    [
        broken_table(
            "missing columns",
            "pairs.jsonl",
            '{"frage": "was", "antwort": "das"}\n{"frage": "wo", "antwort": "da"}\n',
            (
                "pairs.jsonl:1",
                "no column for the query; columns found: frage, antwort",
                "query, question or anchor",
            ),
            (
                "pairs.jsonl:1",
                "no column for the positive passage",
                "positive",
                "document or answer",
            ),
        ),
        broken_table(
            "a passage in the wrong column",
            "pairs.jsonl",
            '{"question": "q", "answer": "a"}\n{"name": "n", "answer": "b"}\n',
            (
                "pairs.jsonl:2",
                "no column for the query; columns found: name, answer",
                "query, question or anchor",
            ),
        ),
        broken_table(
            "a passage or a file's name",
            "pairs.jsonl",
            '{"question": "q", "answer": "a", "document": "manual.pdf"}\n',
            (
                "pairs.jsonl:1",
                "columns document, answer can all be the positive passage",
                "Name the one that is meant pos",
            ),
        ),
        broken_table(
            "passages with a second column",
            "pairs.csv",
            "title,passage\na,b\n",
            (
                "pairs.csv:2",
                "no column for the query; columns found: title, passage",
                "passage has to be the only column",
            ),
        ),
    ]
)
def test_columns_that_cannot_be_told(case, tmp_path):
    assert_faults(case, tmp_path)
