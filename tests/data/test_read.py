"""`whet.load` reads whatever it is given, names all faults at once, and makes missing splits."""

import logging
import re
import time

import pytest

import whet
from data_files import (
    CORPUS,
    QRELS,
    QUERIES,
    Broken,
    assert_faults,
    broken_beir,
    broken_table,
    cases,
    read_sound,
)
from whet.data.read import content_fingerprint, read
from whet.records import Collection, Passage

GUIDE = "# Whetstones\n\nThey sharpen.\n"


@cases(
    [
        broken_beir(
            "many faults at once",
            ("corpus.jsonl:1", "not valid JSON"),
            ("corpus.jsonl:3", "is empty"),
            ("queries.jsonl:1", "not UTF-8"),
            ("queries.jsonl:3", "query 'q3' has no text"),
            ("train.tsv:1", "expected 3 or 4 columns, got 1"),
            ("train.tsv:2", "no query with id 'q7'"),
            ("train.tsv:2", "no passage with id 'd7'"),
            ("train.tsv:2", "score 'x' is not"),
            corpus="{\n" + '{"_id": "d2", "text": "x"}\n{"_id": "d3", "text": ""}\n',
            queries=b'{"_id": "q1", "text": "\xff"}\n{"_id": "q2", "text": "x"}\n{"_id": "q3"}\n',
            qrels="q1\nq7\td7\tx\n",
        ),
        broken_beir(
            "no positives",
            ("no query has a relevant passage", "[no-positives]"),
            qrels="q1\td1\t0\nq2\td2\t-1\n",
        ),
        Broken(
            "only a test split",
            {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS},
            [("no train split", "only test", "[nothing-to-train-on]", "let `whet tune` generate")],
        ),
        broken_beir(
            "too little to split",
            ("2 queries in 2 independent group(s) are too few", "Judge more queries"),
        ),
        broken_table(
            "an unknown format",
            "pairs.xlsx",
            "PK",
            ("pairs.xlsx", "end in .xlsx are not understood", "BEIR folder"),
        ),
        Broken(
            "a folder of something else",
            {"notes.xls": "x"},
            [("no data that is understood", "found notes.xls", ".csv")],
        ),
        Broken(
            "no such file",
            {},
            [("gone.jsonl", "no such file or folder", "Give a BEIR folder")],
            load="gone.jsonl",
        ),
    ]
)
def test_every_fault_is_named_at_once(case, tmp_path):
    assert_faults(case, tmp_path)


def test_a_document_alone_is_read(tmp_path):
    (tmp_path / "guide.md").write_text(GUIDE)
    passages = read_sound(tmp_path / "guide.md").passages
    assert passages == {"guide.md#1": Passage("guide.md#1", "They sharpen.", "Whetstones")}
    assert list(read_sound(tmp_path).passages) == ["guide.md#1"]


def test_tables_beside_documents_are_not_passed_over(tmp_path):
    (tmp_path / "README.md").write_text("About the data.")
    (tmp_path / "sizes.csv").write_text("name,size\na,1\n")
    assert read(tmp_path)[1] == ()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.csv").write_text("question,answer\nq,p\n")
    (fault,) = read(tmp_path)[1]
    assert (fault.kind, fault.level) == ("unnamed-tables", "error")
    assert "train-00000-of-00001.csv" in str(fault)


def test_tables_of_queries_beside_a_corpus_are_not_passed_over(tmp_path):
    row = '{"_id": "d", "text": "t", "question": "q", "answer": "a"}\n'
    (tmp_path / "corpus.jsonl").write_text(row)
    assert read(tmp_path)[1] == ()
    (tmp_path / "faq.jsonl").write_text('{"query": "q", "positive": "p"}\n')
    collection, (fault,) = read(tmp_path)
    assert (len(collection.passages), collection.queries) == (1, {})
    assert (fault.kind, fault.level) == ("two-kinds", "warning")
    assert fault.message.endswith(": faq.jsonl")
    assert "--test-queries" in fault.cure


@pytest.mark.parametrize(
    "source", ["folder", "folder/", "here/folder", "a/b/c", "./a", "folder.jsonl"]
)
def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub(monkeypatch, tmp_path, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("whet.data.read.read_hub", None)
    (tmp_path / "here").mkdir()
    _, faults = read(source)
    assert [fault.kind for fault in faults] == ["no-file"]


def test_load_takes_a_collection_and_says_which_splits_it_made(caplog):
    caplog.set_level(logging.INFO, "whet")
    passages = {f"d{n}": Passage(f"d{n}", f"text {n}") for n in range(9)}
    qrels = {"train": {f"q{n}": {f"d{n}": 1} for n in range(9)}}
    collection = Collection("mine", passages, {f"q{n}": f"question {n}" for n in range(9)}, qrels)
    loaded = whet.load(collection, split_seed=1)
    assert [len(loaded.qrels[split]) for split in ("train", "dev", "test")] == [6, 0, 3]
    assert caplog.messages == [
        "test made from train by passage group; queries: train 6, dev 0, test 3"
    ]
    caplog.clear()
    assert whet.load(loaded) == loaded
    assert caplog.messages == []


def test_load_warns_of_given_splits_that_share_passages_with_train(caplog):
    passages = {"d1": Passage("d1", "one"), "d2": Passage("d2", "two")}
    queries = {"q1": "a", "q2": "b", "q3": "c"}
    qrels = {
        "train": {"q1": {"d1": 1}},
        "dev": {"q2": {"d2": 1}},
        "test": {"q3": {"d1": 1, "d2": 1}},
    }
    collection = Collection("mine", passages, queries, qrels)
    assert whet.load(collection) == collection
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    overlap = "1 passages that answer test queries are positives of training queries too"
    assert record.message.startswith(f"mine: {overlap}")


def test_load_logs_ten_warnings_and_counts_the_rest(tmp_path, caplog):
    rows = "".join(f'{{"_id": "d{n % 5}", "text": "t{n % 5}"}}\n' for n in range(20))
    (tmp_path / "corpus.jsonl").write_text(rows)
    (tmp_path / "queries.jsonl").write_text(
        "".join(f'{{"_id": "q{n}", "text": "about {n}"}}\n' for n in range(5))
    )
    (tmp_path / "qrels").mkdir()
    qrels = "".join(f"q{n}\td{n}\t1\n" for n in range(5))
    (tmp_path / "qrels" / "train.tsv").write_text(qrels)
    whet.load(tmp_path)
    assert len(caplog.records) == 11
    assert caplog.messages[-1].startswith("… and 5 more warnings")


def test_fingerprint_covers_every_part():
    parts = {
        "passages": {"d": Passage("d", "text", "title")},
        "queries": {"q": "query"},
        "qrels": {"train": {"q": {"d": 1}}},
        "negatives": {"q": ("d",)},
        "positive_queries": {"d": ("query",)},
    }
    changes = [
        {},
        {"passages": {"d": Passage("d", "texttitle")}},
        {"queries": {"q": "Query"}},
        {"qrels": {"train": {"q": {"d": 2}}}},
        {"qrels": {"test": {"q": {"d": 1}}}},
        {"negatives": {}},
        {"positive_queries": {}},
    ]
    fingerprints = [content_fingerprint(Collection("a", **parts | change)) for change in changes]
    assert len(set(fingerprints)) == len(changes)
    assert content_fingerprint(Collection("other name", **parts)) == fingerprints[0]
    lists = {"negatives": {"q": ["d"]}, "positive_queries": {"d": ["query"]}}
    assert content_fingerprint(Collection("a", **parts | lists)) == fingerprints[0]


def test_fingerprint_is_the_same_in_every_version():
    """Runs store it: if this changes, every stage of every run is built again."""
    passages = {"d": Passage("d", "text", "title")}
    collection = Collection("c", passages, {"q": "query"}, {"train": {"q": {"d": 1}}})
    assert content_fingerprint(collection) == "7f5baf1ce924141fd747bb910782ea3fa7fdc9bd"


@pytest.mark.parametrize(
    "name",
    [
        "scifact",
        "integreat_en",
        "integreat_de",
        "nl2bash_a",
        "medquad_mini",
        "eda_tiny",
        "jaquad_ja",
    ],
)
def test_real_sets_have_the_sizes_that_they_state(shared, name):
    meta = (shared(name) / "META.md").read_text(encoding="utf-8")
    collection = read_sound(shared(name))
    assert len(collection.passages) == int(re.search(r"passages: (\d+)", meta)[1])
    queries = re.search(r"queries: train (\d+), dev (\d+), test (\d+)", meta).groups()
    positives = [collection.positives(split) for split in ("train", "dev", "test")]
    assert [len(split) for split in positives] == [int(number) for number in queries]
    pairs = re.search(r"positive pairs: (\d+)/(\d+)/(\d+)", meta)
    if pairs:
        counts = [sum(map(len, split.values())) for split in positives]
        assert counts == [int(number) for number in pairs.groups()]


def test_medquad_is_read_in_about_a_second(shared):
    start = time.process_time()
    collection = read_sound(shared("medquad"))
    assert time.process_time() - start < 3
    assert (len(collection.passages), len(collection.positives("test"))) == (16337, 2000)
    assert sum(map(len, collection.positives("train").values())) == 13394
