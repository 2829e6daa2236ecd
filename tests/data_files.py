"""Data as users write it: JSON lines, tables and BEIR folders, and what must be wrong with them."""

import json
from dataclasses import dataclass, field

import pytest

import whet
from whet.data.read import read
from whet.errors import DataError

CORPUS = (
    '{"_id": "d1", "text": "A whetstone sharpens."}\n'
    '{"_id": "d2", "title": "Oil", "text": "It carries swarf."}\n'
)
QUERIES = '{"_id": "q1", "text": "what sharpens"}\n{"_id": "q2", "text": "what carries swarf"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
SOUND_BEIR = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": QRELS}
"""A BEIR folder whose only fault is that it is too small to be split."""

PAIRS = [
    {
        "query": "what sharpens",
        "pos": ["stone", "strop"],
        "neg": ["cheese"],
        "neg_q": ["what is made of milk"],
    },
    {
        "query": "what cuts",
        "pos": ["knife"],
        "neg": ["cheese", "stone"],
        "neg_q": ["", "what sharpens"],
    },
    {"query": "what sharpens", "pos": ["file"], "neg": [], "neg_q": []},
]
PAIRS_BY_TEXT = {
    "qrels": {
        "train": {"what sharpens": {"stone": 1, "strop": 1, "file": 1}, "what cuts": {"knife": 1}}
    },
    "negatives": {"what sharpens": ["cheese"], "what cuts": ["cheese", "stone"]},
    "positive_queries": {"cheese": ["what is made of milk"], "stone": ["what sharpens"]},
}
"""What `by_text` gives for PAIRS, whatever format they are in."""


def write_files(folder, files):
    """Write files, name → text or bytes, below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def read_sound(source):
    """What `read` gives for data without any fault."""
    collection, faults = read(source)
    assert faults == ()
    return collection


def by_text(collection):
    """Judgements, negatives and positive queries by text instead of id."""
    text = {identifier: passage.text for identifier, passage in collection.passages.items()}
    qrels = {}
    for split, judgements in collection.qrels.items():
        part = qrels.setdefault(split, {})
        for query, judged in judgements.items():
            grades = {text[passage]: grade for passage, grade in judged.items()}
            part[collection.queries[query]] = grades
    negatives = {}
    for query, passages in collection.negatives.items():
        negatives[collection.queries[query]] = [text[passage] for passage in passages]
    positive_queries = {
        text[key]: list(texts) for key, texts in collection.positive_queries.items()
    }
    return {"qrels": qrels, "negatives": negatives, "positive_queries": positive_queries}


@dataclass(frozen=True)
class Broken:
    """Files to write, the one to load ("" is the folder), and parts of each fault's message."""

    name: str
    files: dict[str, str | bytes]
    faults: list[tuple[str, ...]]
    load: str = field(default="")


def broken_beir(name, *faults, **parts):
    """A sound BEIR folder with parts replaced, or left out where None."""
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/train.tsv"}
    files = SOUND_BEIR | {names[part]: content for part, content in parts.items()}
    present = {file: content for file, content in files.items() if content is not None}
    return Broken(name, present, list(faults))


def broken_table(name, file, content, *faults):
    return Broken(name, {file: content}, list(faults), load=file)


def assert_faults(case, folder):
    """Load a broken case: every fault is named at once, with its place and its cure, in order."""
    write_files(folder, case.files)
    with pytest.raises(DataError) as caught:
        whet.load(folder / case.load)

    messages = [str(fault) for fault in caught.value.faults]
    assert len(messages) == len(case.faults), messages
    for message, parts in zip(messages, case.faults, strict=True):
        assert [part for part in parts if part not in message] == [], message
        assert "Cure: " in message
    assert all(message in str(caught.value) for message in messages)
    assert caught.value.exit_code == 2


def cases(broken):
    """Parametrize a test with broken cases as its argument `case`."""
    return pytest.mark.parametrize("case", broken, ids=lambda case: case.name)
