"""Broken data, one folder or file each: every fault is named with its place and its cure, and all come together."""

import json
from dataclasses import dataclass

import pytest

import whet
from whet.errors import DataError

CORPUS = '{"_id": "d1", "text": "A whetstone sharpens."}\n{"_id": "d2", "title": "Oil", "text": "It carries swarf."}\n'
QUERIES = '{"_id": "q1", "text": "what sharpens"}\n{"_id": "q2", "text": "what carries swarf"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
SOUND = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": QRELS}


@dataclass(frozen=True)
class Broken:
    """Files to write, the one to load ("" is the folder), and for each fault the parts of its message."""

    name: str
    files: dict[str, str | bytes]
    faults: list[tuple[str, ...]]
    load: str = ""


def beir(name, *faults, **parts):
    """A sound BEIR folder with parts replaced, or left out where None."""
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/train.tsv"}
    files = SOUND | {names[part]: text for part, text in parts.items()}
    return Broken(
        name, {file: text for file, text in files.items() if text is not None}, list(faults)
    )


def table(name, file, text, *faults):
    return Broken(name, {file: text}, list(faults), load=file)


BROKEN = [
    beir(
        "bad JSON",
        (
            "corpus.jsonl:3",
            "not valid JSON",
            "column 8",
            "[bad-json]",
            "Write one whole object a line",
        ),
        corpus=CORPUS + '{"_id": \n',
    ),
    beir(
        "a JSON line that is no object",
        ("queries.jsonl:3", "expected an object, got a list", "Write one object a line"),
        queries=QUERIES + '["q3", "what"]\n',
    ),
    beir(
        "bad UTF-8",
        ("corpus.jsonl:3", "byte 0xe9 at byte 27 of the line is not UTF-8", "iconv"),
        corpus=CORPUS.encode() + '{"_id": "d3", "text": "caf\u00e9"}\n'.encode("latin-1"),
    ),
    beir(
        "UTF-16",
        ("queries.jsonl:1", "UTF-16", "Save the file as UTF-8"),
        queries=QUERIES.encode("utf-16"),
    ),
    beir(
        "half a surrogate pair",
        ("corpus.jsonl:3", "passage 'd3'", "half a character", "surrogate"),
        corpus=CORPUS + '{"_id": "d3", "text": "\\ud83d"}\n',
    ),
    beir(
        "missing text",
        (
            "corpus.jsonl:3",
            "passage 'd3' has no text",
            "[missing-text]",
            "Give it a text or delete it",
        ),
        corpus=CORPUS + '{"_id": "d3", "body": "x"}\n',
    ),
    beir(
        "empty text",
        ("queries.jsonl:3", "query 'q3' is empty", "[empty-text]"),
        queries=QUERIES + '{"_id": "q3", "text": "  "}\n',
    ),
    beir(
        "a number for a text",
        ("corpus.jsonl:3", "passage 'd3' is a number, not a string", "Write it in quotes"),
        corpus=CORPUS + '{"_id": "d3", "text": 7}\n',
    ),
    beir(
        "no _id",
        ("corpus.jsonl:3", "no _id (found: id, text)", "Give every line an _id"),
        corpus=CORPUS + '{"id": "d3", "text": "x"}\n',
    ),
    beir(
        "duplicate ids",
        ("corpus.jsonl:3", "id 'd1' comes again with a different text", "another id"),
        corpus=CORPUS + '{"_id": "d1", "text": "A razor."}\n',
    ),
    beir(
        "unknown passage",
        ("train.tsv:4", "no passage with id 'd9'", "Add it or delete"),
        qrels=QRELS + "q1\td9\t1\n",
    ),
    beir(
        "unknown query",
        ("train.tsv:4", "no query with id 'q9'", "Add it or delete"),
        qrels=QRELS + "q9\td1\t1\n",
    ),
    beir(
        "swapped qrels columns",
        ("train.tsv:1", "no query with id 'd1' (it is a passage)", "Put the query id first"),
        ("train.tsv:1", "no passage with id 'q1' (it is a query)", "Put the query id first"),
        qrels="d1\tq1\t1\n",
    ),
    beir(
        "bad score",
        ("train.tsv:4", "score 'high' is not a whole number", "1 or more is relevant"),
        ("train.tsv:5", "score '0.5' is not a whole number"),
        qrels=QRELS + "q1\td2\thigh\nq2\td1\t0.5\n",
    ),
    beir(
        "wrong column count",
        ("train.tsv:4", "expected 3 or 4 columns, got 2", "tabs between"),
        qrels=QRELS + "q1\td2\n",
    ),
    beir(
        "contradicting judgements",
        ("train.tsv:4", "'q1' and passage 'd1' are judged 0 here and 1 before", "Keep one"),
        qrels=QRELS + "q1\td1\t0\n",
    ),
    beir(
        "no positives",
        ("no query has a relevant passage", "[no-positives]"),
        qrels="q1\td1\t0\nq2\td2\t-1\n",
    ),
    beir(
        "no corpus",
        ("corpus.jsonl", "a BEIR folder needs this file", "[missing-file]"),
        corpus=None,
    ),
    beir(
        "no queries",
        ("queries.jsonl", "a BEIR folder needs this file", "[missing-file]"),
        queries=None,
    ),
    beir("no qrels", ("qrels", "needs qrels/train.tsv; found none", "tabs between"), qrels=None),
    Broken(
        "qrels under another name",
        {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/all.tsv": QRELS},
        [("needs qrels/train.tsv; found only all.tsv",)],
    ),
    beir("an empty corpus", ("corpus.jsonl", "holds no lines", "[empty-file]"), corpus=""),
    beir(
        "qrels of a header alone",
        ("train.tsv", "holds no judgements", "[empty-file]"),
        qrels="query-id\tcorpus-id\tscore\n",
    ),
    Broken(
        "only a test split",
        {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS},
        [("no train split", "only test", "[nothing-to-train-on]", "have `whet tune` write some")],
    ),
    beir(
        "too little to split",
        ("2 queries in 2 independent group(s) are too few", "Judge more queries"),
    ),
    beir(
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
    table(
        "missing columns",
        "pairs.jsonl",
        '{"frage": "was", "antwort": "das"}\n{"frage": "wo", "antwort": "da"}\n',
        (
            "pairs.jsonl:1",
            "no column for the query; columns found: frage, antwort",
            "query, question or anchor",
        ),
        ("pairs.jsonl:1", "no column for the positive passage", "positive", "document or answer"),
    ),
    table(
        "rows without texts",
        "pairs.jsonl",
        '{"query": " ", "pos": ["x"]}\n{"query": "q", "pos": []}\n'
        '{"query": "q", "pos": [""]}\n{"query": "q", "pos": [3]}\n',
        ("pairs.jsonl:1", "the query is empty"),
        ("pairs.jsonl:2", "no positive passage", "Add one or delete the row"),
        ("pairs.jsonl:3", "the positive passage is empty"),
        ("pairs.jsonl:4", "the positive passage is a number"),
    ),
    table(
        "negatives of no query",
        "pairs.jsonl",
        '{"query": null, "pos": ["x"], "neg": ["y"]}\n',
        ("pairs.jsonl:1", "the query has no text", "Give it a text or delete it"),
    ),
    table(
        "a passage in the wrong column",
        "pairs.jsonl",
        '{"question": "q", "answer": "a"}\n{"name": "n", "answer": "b"}\n',
        (
            "pairs.jsonl:2",
            "no column for the query; columns found: name, answer",
            "query, question or anchor",
        ),
    ),
    table(
        "a passage or a file's name",
        "pairs.jsonl",
        '{"question": "q", "answer": "a", "document": "manual.pdf"}\n',
        (
            "pairs.jsonl:1",
            "columns document, answer can all be the positive passage",
            "Name the one that is meant pos",
        ),
    ),
    table(
        "passages with a second column",
        "pairs.csv",
        "title,passage\na,b\n",
        (
            "pairs.csv:2",
            "no column for the query; columns found: title, passage",
            "passage has to be the one column",
        ),
    ),
    table(
        "one object over many lines",
        "pairs.json",
        '{\n"query": "q",\n"positive": "p"\n}\n',
        ("pairs.json:1", "one JSON value over many lines", "one whole object a line"),
    ),
    table(
        "a table whose first lines are blank",
        "pairs.CSV",
        "\n \nquery,positive\na\n",
        ("pairs.CSV:4", "got 1"),
    ),
    table(
        "negatives and their queries do not fit",
        "pairs.jsonl",
        json.dumps({"query": "q", "pos": ["p"], "neg": ["a", "b"], "neg_q": ["x"]}) + "\n",
        ("pairs.jsonl:1", "2 negatives but 1 entries in neg_q", "one entry for each negative"),
    ),
    table(
        "a label that is a similarity",
        "pairs.csv",
        "query,passage,score\na,b,0.83\n",
        ("pairs.csv:2", "score '0.83' is not a whole number"),
    ),
    table(
        "CSV rows of other lengths",
        "pairs.csv",
        'query,positive\n"two\nlines",fine\none,two,three\nalone\n',
        ("pairs.csv:4", "expected 2 cells as in the header, got 3", "Quote cells"),
        ("pairs.csv:5", "got 1"),
    ),
    table(
        "a CSV quote that never ends",
        "pairs.csv",
        'query,positive\na,b\nc,"d\ne,f\n',
        ("pairs.csv:3", "cannot be read on from here", "Quote the cell"),
    ),
    table(
        "a CSV header alone",
        "pairs.csv",
        "query,positive\n",
        ("pairs.csv", "a header and no rows"),
    ),
    table("an empty TSV", "pairs.tsv", "\n", ("pairs.tsv", "holds no lines")),
    table(
        "not Parquet",
        "pairs.parquet",
        "PAR?",
        ("pairs.parquet", "not a Parquet file", "Write it again"),
    ),
    table(
        "a broken JSON list",
        "pairs.json",
        '[\n{"query": "q", "positive": "p"},\n',
        ("pairs.json:3", "not valid JSON", "Write one JSON list"),
    ),
    table(
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
        "documents without text",
        {"notes.txt": " ", "scan.pdf": "%PDF-"},
        [
            ("notes.txt", "holds no text", "OCR"),
            ("scan.pdf", "cannot be read"),
            ("holds any text", "[no-text]"),
        ],
    ),
    Broken(
        "a program under a text's name",
        {"tool.txt": bytes(range(1, 256)) * 4},
        [
            ("tool.txt", "cannot be read", "control characters", "no text"),
            ("holds any text", "[no-text]"),
        ],
    ),
    Broken(
        "no such file",
        {},
        [("gone.jsonl", "no such file or folder", "Give a BEIR folder")],
        load="gone.jsonl",
    ),
    Broken(
        "a damaged saved dataset",
        {"dataset_info.json": "{"},
        [("datasets cannot load it", "save_to_disk")],
    ),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_every_fault_is_named_at_once(case, tmp_path):
    for name, content in case.files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(DataError) as caught:
        whet.load(tmp_path / case.load)

    messages = [str(fault) for fault in caught.value.faults]
    assert len(messages) == len(case.faults), messages
    for message, parts in zip(messages, case.faults, strict=True):
        assert [part for part in parts if part not in message] == [], message
        assert "Cure: " in message
    assert all(message in str(caught.value) for message in messages)
    assert caught.value.exit_code == 2


def test_what_the_table_breaks_is_sound_before():
    """The BEIR cases above break a folder that has no other fault."""
    assert len(BROKEN) >= 20
    assert len({case.name for case in BROKEN}) == len(BROKEN)
