"""Rows of texts become passages, queries, judgements and negatives."""

import json

from data_files import (
    PAIRS,
    PAIRS_BY_TEXT,
    assert_faults,
    broken_table,
    by_text,
    cases,
    read_sound,
    write_jsonl,
)
from whet.data.read import read


def test_equal_texts_are_one_and_ids_count_them(tmp_path):
    write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    collection = read_sound(tmp_path / "pairs.jsonl")
    assert by_text(collection) == PAIRS_BY_TEXT
    assert (collection.name, list(collection.queries)) == ("pairs", ["q000001", "q000002"])
    assert list(collection.passages) == [f"p{number:06d}" for number in range(1, 6)]


def test_grades(tmp_path):
    grades = {"a": 2, "b": 0, "c": -1}
    rows = [{"query": "q", "passage": text, "label": grade} for text, grade in grades.items()]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    collection = read_sound(tmp_path / "pairs.jsonl")
    assert by_text(collection)["qrels"] == {"train": {"q": grades}}


def test_folder_of_splits_shares_ids(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", PAIRS[:1])
    (tmp_path / "val.csv").write_text("query,positive\nwhat hones,stone\n", encoding="utf-8")
    (tmp_path / "test.tsv").write_text("positive\tquery\nknife\twhat cuts\n", encoding="utf-8")
    collection = read_sound(tmp_path)
    assert by_text(collection)["qrels"] == {
        "train": {"what sharpens": {"stone": 1, "strop": 1}},
        "dev": {"what hones": {"stone": 1}},
        "test": {"what cuts": {"knife": 1}},
    }
    assert list(collection.qrels) == ["train", "dev", "test"]
    assert len(collection.passages) == 4


def test_negatives_that_are_empty_or_positive_are_left_out_with_a_warning(tmp_path):
    rows = [
        {"query": "q", "pos": ["p"], "neg": [""]},
        {"query": "q", "pos": ["r"], "neg": ["p", "n"]},
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    collection, faults = read(tmp_path / "pairs.jsonl")
    assert [(fault.kind, fault.where.rpartition(":")[2], fault.level) for fault in faults] == [
        ("empty-negative", "1", "warning"),
        ("negative-is-positive", "2", "warning"),
    ]
    assert by_text(collection)["negatives"] == {"q": ["n"]}


def test_rows_without_a_query_are_passages_that_are_only_searched(tmp_path):
    rows = [
        {"query": "q", "positive": "a passage"},
        {"positive": "a passage"},
        {"query": "", "positive": "another"},
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    collection, faults = read(tmp_path / "pairs.jsonl")
    assert [passage.text for passage in collection.passages.values()] == ["a passage", "another"]
    assert collection.queries == {"q000001": "q"}
    assert collection.qrels == {"train": {"q000001": {"p000001": 1}}}
    (fault,) = faults
    assert (fault.kind, fault.level) == ("no-query", "warning")
    assert fault.where.endswith("pairs.jsonl:2")
    assert "2 rows" in fault.message


def test_a_table_of_passages_alone_is_a_corpus(tmp_path):
    (tmp_path / "passages.csv").write_text("passage\nOne text.\nAnother text.\n", encoding="utf-8")
    collection, (fault,) = read(tmp_path / "passages.csv")
    assert len(collection.passages) == 2
    assert not collection.queries
    assert not collection.qrels
    assert fault.kind == "no-query"


@cases(
    [
        broken_table(
            "rows without texts",
            "pairs.jsonl",
            '{"query": " ", "pos": ["x"]}\n{"query": "q", "pos": []}\n'
            '{"query": "q", "pos": [""]}\n{"query": "q", "pos": [3]}\n',
            ("pairs.jsonl:1", "the query is empty"),
            ("pairs.jsonl:2", "no positive passage", "Add one or delete the row"),
            ("pairs.jsonl:3", "the positive passage is empty"),
            ("pairs.jsonl:4", "the positive passage is a number"),
        ),
        broken_table(
            "negatives of no query",
            "pairs.jsonl",
            '{"query": null, "pos": ["x"], "neg": ["y"]}\n',
            ("pairs.jsonl:1", "the query has no text", "Give it a text or delete it"),
        ),
        broken_table(
            "negatives and their queries do not fit",
            "pairs.jsonl",
            json.dumps({"query": "q", "pos": ["p"], "neg": ["a", "b"], "neg_q": ["x"]}) + "\n",
            ("pairs.jsonl:1", "2 negatives but 1 entries in neg_q", "one entry for each negative"),
        ),
        broken_table(
            "negatives and queries of negatives that are no texts",
            "pairs.jsonl",
            '{"query": "q", "pos": ["p"], "neg": ["a", 3], "neg_q": [[7], ""]}\n',
            ("pairs.jsonl:1", "the negative's query is a number"),
            ("pairs.jsonl:1", "the negative passage is a number"),
        ),
        broken_table(
            "a label that is a similarity",
            "pairs.csv",
            "query,passage,score\na,b,0.83\n",
            ("pairs.csv:2", "score '0.83' is not a whole number"),
        ),
    ]
)
def test_broken_rows(case, tmp_path):
    assert_faults(case, tmp_path)
