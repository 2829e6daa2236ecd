"""BEIR folders: everything in a sound one is kept, and each fault of a broken one is named."""

import logging

import pytest

import whet
from data_files import (
    CORPUS,
    QRELS,
    QUERIES,
    Broken,
    assert_faults,
    broken_beir,
    cases,
    read_sound,
    write_files,
    write_jsonl,
)
from whet.records import Passage

STONES = (
    {"_id": "d1", "title": "Stone", "text": "sharpens\u2028steel", "metadata": {}},
    {"_id": 2, "title": "Only a title", "text": ""},
    {"_id": "d3", "text": "x"},
)
QUESTIONS = ({"_id": "q1", "text": "a"}, {"_id": "q2", "text": "b"})


@pytest.fixture
def write_beir(tmp_path):
    """Return a function that writes a BEIR folder of STONES; its arguments are texts of qrels."""

    def write(corpus=STONES, **qrels):
        write_jsonl(tmp_path / "corpus.jsonl", corpus)
        write_jsonl(tmp_path / "queries.jsonl", QUESTIONS)
        write_files(tmp_path, {f"qrels/{split}.tsv": text for split, text in qrels.items()})
        return tmp_path

    return write


def test_everything_is_kept(write_beir, caplog):
    caplog.set_level(logging.INFO, "whet")
    folder = write_beir(
        train="query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t0\nq1\t2\t1.0\n",
        validation="q2\td3\t-1\r\nq2\td1\t1\r\n",
        test="q2 0 d3 1\n\nq2 0 d1 3\n",
        train_official="nonsense",
    )
    collection = read_sound(folder)
    assert collection.name == folder.name
    assert collection.passages == {
        "d1": Passage("d1", "sharpens\u2028steel", "Stone"),
        "2": Passage("2", "", "Only a title"),
        "d3": Passage("d3", "x"),
    }
    assert collection.passages["d1"].content == "Stone sharpens\u2028steel"
    assert collection.queries == {"q1": "a", "q2": "b"}
    assert collection.qrels == {
        "train": {"q1": {"d1": 2, "d3": 0, "2": 1}},
        "dev": {"q2": {"d3": -1, "d1": 1}},
        "test": {"q2": {"d3": 1, "d1": 3}},
    }
    assert list(collection.qrels) == ["train", "dev", "test"]
    assert collection.positives("train") == {"q1": ["d1", "2"]}
    assert "train_official.tsv ignored" in caplog.text


def test_a_byte_order_mark_and_crlf_are_tolerated(write_beir):
    folder = write_beir(train="\ufeffquery-id\tcorpus-id\tscore\r\nq1\td1\t1\r\n")
    for name in ("corpus.jsonl", "queries.jsonl"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert read_sound(folder).qrels == {"train": {"q1": {"d1": 1}}}


def test_a_line_that_comes_twice_is_a_warning(write_beir, caplog):
    folder = write_beir(
        [*STONES, STONES[0]],
        train="q1\td1\t1\nq2\td3\t1\n",
        dev="q1\t2\t1\n",
        test="q2\t2\t1\n",
    )
    assert len(whet.load(folder).passages) == 3
    (record, *_) = caplog.records
    assert record.levelno == logging.WARNING
    again = "corpus.jsonl:4: id 'd1' comes again with the same text"
    assert f"{again} [duplicate-id] Cure: Delete the line." in record.message


def test_a_corpus_alone_is_a_corpus_to_generate_queries_for(tmp_path):
    write_files(tmp_path, {"corpus.jsonl": CORPUS})
    collection = read_sound(tmp_path)
    assert list(collection.passages) == ["d1", "d2"]
    assert (collection.queries, collection.qrels) == ({}, {})


@cases(
    [
        broken_beir(
            "no _id",
            ("corpus.jsonl:3", "no _id (found: id, text)", "Give every line an _id"),
            corpus=CORPUS + '{"id": "d3", "text": "x"}\n',
        ),
        broken_beir(
            "a title that is no string",
            ("corpus.jsonl:3", "title of passage 'd3' is not a string", "title in quotes"),
            corpus=CORPUS + '{"_id": "d3", "title": 3, "text": "x"}\n',
        ),
        broken_beir(
            "duplicate ids of passages",
            ("corpus.jsonl:3", "id 'd1' comes again with a different text", "another id"),
            corpus=CORPUS + '{"_id": "d1", "text": "A razor."}\n',
        ),
        broken_beir(
            "duplicate ids of queries",
            ("queries.jsonl:3", "id 'q1' comes again with a different text", "another id"),
            queries=QUERIES + '{"_id": "q1", "text": "what cuts"}\n',
        ),
        broken_beir(
            "no corpus", ("corpus.jsonl", "needs this file", "[missing-file]"), corpus=None
        ),
        broken_beir(
            "no queries", ("queries.jsonl", "needs this file", "[missing-file]"), queries=None
        ),
        broken_beir(
            "an empty corpus", ("corpus.jsonl", "holds no lines", "[empty-file]"), corpus=""
        ),
    ]
)
def test_broken_corpus_and_queries(case, tmp_path):
    assert_faults(case, tmp_path)


@cases(
    [
        broken_beir(
            "unknown passage",
            ("train.tsv:4", "no passage with id 'd9'", "Add it or delete"),
            qrels=QRELS + "q1\td9\t1\n",
        ),
        broken_beir(
            "unknown query",
            ("train.tsv:4", "no query with id 'q9'", "Add it or delete"),
            qrels=QRELS + "q9\td1\t1\n",
        ),
        broken_beir(
            "swapped columns",
            ("train.tsv:1", "no query with id 'd1' (it is a passage)", "Put the query id first"),
            ("train.tsv:1", "no passage with id 'q1' (it is a query)", "Put the query id first"),
            qrels="d1\tq1\t1\n",
        ),
        broken_beir(
            "bad score",
            ("train.tsv:4", "score 'high' is not a whole number", "1 or more is relevant"),
            ("train.tsv:5", "score '0.5' is not a whole number"),
            qrels=QRELS + "q1\td2\thigh\nq2\td1\t0.5\n",
        ),
        broken_beir(
            "wrong column count",
            ("train.tsv:4", "expected 3 or 4 columns, got 2", "tabs between"),
            qrels=QRELS + "q1\td2\n",
        ),
        broken_beir(
            "contradicting judgements",
            ("train.tsv:4", "'q1' and passage 'd1' are judged 0 here and 1 before", "Keep one"),
            qrels=QRELS + "q1\td1\t0\n",
        ),
        broken_beir(
            "no qrels", ("qrels", "needs qrels/train.tsv; found none", "tabs between"), qrels=None
        ),
        Broken(
            "qrels under another name",
            {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/all.tsv": QRELS},
            [("needs qrels/train.tsv; found only all.tsv",)],
        ),
        broken_beir(
            "a header alone",
            ("train.tsv", "holds no judgements", "[empty-file]"),
            qrels="query-id\tcorpus-id\tscore\n",
        ),
    ]
)
def test_broken_judgements(case, tmp_path):
    assert_faults(case, tmp_path)
