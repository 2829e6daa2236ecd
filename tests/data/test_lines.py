"""Lines and JSON objects of files: what is broken is named by its line, and reading goes on."""

import pytest

from data_files import CORPUS, QUERIES, assert_faults, broken_beir, broken_table, cases
from whet.data.faults import Faults
from whet.data.lines import is_usable_text, json_rows, json_type, text_lines


@cases(
    [
        broken_beir(
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
        broken_beir(
            "a JSON line that is no object",
            ("queries.jsonl:3", "expected an object, got a list", "Write one object a line"),
            queries=QUERIES + '["q3", "what"]\n',
        ),
        broken_beir(
            "bad UTF-8",
            ("corpus.jsonl:3", "byte 0xe9 at byte 27 of the line is not UTF-8", "iconv"),
            corpus=CORPUS.encode() + '{"_id": "d3", "text": "caf\u00e9"}\n'.encode("latin-1"),
        ),
        broken_beir(
            "UTF-16",
            ("queries.jsonl:1", "UTF-16", "Save the file as UTF-8"),
            queries=QUERIES.encode("utf-16"),
        ),
        broken_table(
            "one object over many lines",
            "pairs.json",
            '{\n"query": "q",\n"positive": "p"\n}\n',
            ("pairs.json:1", "one JSON value over many lines", "one whole object a line"),
        ),
    ]
)
def test_broken_lines(case, tmp_path):
    assert_faults(case, tmp_path)


@cases(
    [
        broken_beir(
            "half a surrogate pair",
            ("corpus.jsonl:3", "passage 'd3'", "half a character", "surrogate"),
            corpus=CORPUS + '{"_id": "d3", "text": "\\ud83d"}\n',
        ),
        broken_beir(
            "missing text",
            (
                "corpus.jsonl:3",
                "passage 'd3' has no text",
                "[missing-text]",
                "Give it a text or delete it",
            ),
            corpus=CORPUS + '{"_id": "d3", "body": "x"}\n',
        ),
        broken_beir(
            "empty text",
            ("queries.jsonl:3", "query 'q3' is empty", "[empty-text]"),
            queries=QUERIES + '{"_id": "q3", "text": "  "}\n',
        ),
        broken_beir(
            "a number for a text",
            ("corpus.jsonl:3", "passage 'd3' is a number, not a string", "Write it in quotes"),
            corpus=CORPUS + '{"_id": "d3", "text": 7}\n',
        ),
    ]
)
def test_texts_that_no_model_can_read(case, tmp_path):
    assert_faults(case, tmp_path)


def test_a_usable_text_is_no_fault():
    faults = Faults()
    assert is_usable_text("words", "the query", "pairs.csv:2", faults)
    assert not is_usable_text(None, "the query", "pairs.csv:3", faults)
    assert [fault.where for fault in faults] == ["pairs.csv:3"]


def test_line_numbers_stay_right_behind_a_broken_line(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbfone\n\xff\nthree\n")
    faults = Faults()
    assert list(text_lines(path, faults)) == [(1, "one\n"), (2, "\ufffd\n"), (3, "three\n")]
    assert [fault.where for fault in faults] == [f"{path}:2"]


def test_blank_lines_are_skipped_and_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n \n{"a": 2}\n', encoding="utf-8")
    faults = Faults()
    assert list(json_rows(path, faults)) == [(f"{path}:1", {"a": 1}), (f"{path}:4", {"a": 2})]
    assert not faults


def test_a_file_without_lines_is_a_fault(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n", encoding="utf-8")
    faults = Faults()
    assert list(json_rows(path, faults)) == []
    assert [fault.kind for fault in faults] == ["empty-file"]


@pytest.mark.parametrize(
    ("value", "name"), [(True, "a boolean"), ("s", "a string"), ({}, "an object"), (b"", "a bytes")]
)
def test_values_have_json_names(value, name):
    assert json_type(value) == name
