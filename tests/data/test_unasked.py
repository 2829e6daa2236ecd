"""Passages that nobody has asked about, in a table: they are searched with the others."""

import json

from whet.data.read import read


def test_rows_without_a_query_are_passages_that_nobody_asks_for(tmp_path):
    unasked = [{"positive": "a passage"}, {"query": "", "positive": "another"}]
    rows = [{"query": "q", "positive": "a passage"}, *unasked]
    (tmp_path / "pairs.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
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


def test_questions_beside_a_corpus_are_not_passed_over_in_silence(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "d", "text": "t", "question": "q", "answer": "a"}\n'
    )
    assert read(tmp_path)[1] == ()
    (tmp_path / "faq.jsonl").write_text('{"query": "q", "positive": "p"}\n')
    collection, (fault,) = read(tmp_path)
    assert (len(collection.passages), collection.queries) == (1, {})
    assert (fault.kind, fault.level) == ("two-kinds", "warning")
    assert fault.message.endswith(": faq.jsonl")
    assert "--test-queries" in fault.cure
