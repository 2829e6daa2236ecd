"""Every format of a table gives the same rows; broken files are named by line, item or row."""

import csv
import json

import pytest

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
from whet.data.faults import Faults
from whet.data.files import table_rows


def test_jsonl_with_a_blank_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    write_jsonl(path, PAIRS)
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert by_text(read_sound(path)) == PAIRS_BY_TEXT


def test_json_as_list_and_as_lines(tmp_path):
    listed = "\ufeff" + json.dumps(PAIRS, indent=1)
    (tmp_path / "list.json").write_text(listed, encoding="utf-8")
    write_jsonl(tmp_path / "lines.json", PAIRS)
    assert by_text(read_sound(tmp_path / "list.json")) == PAIRS_BY_TEXT
    assert by_text(read_sound(tmp_path / "lines.json")) == PAIRS_BY_TEXT


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(PAIRS), tmp_path / "pairs.parquet")
    assert by_text(read_sound(tmp_path / "pairs.parquet")) == PAIRS_BY_TEXT


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_delimited_by_name_in_any_order(tmp_path, suffix, delimiter):
    path = tmp_path / f"pairs.{suffix}"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["Negative_2", "Answer", "negative_1", "Question"])
        writer.writerow(["", "two\nlines", "cheese, old; and\tdry", 'the "query"'])
        writer.writerow(["n2", '["p1", "p2"]', "n1", "other"])
    assert by_text(read_sound(path)) == {
        "qrels": {"train": {'the "query"': {"two\nlines": 1}, "other": {"p1": 1, "p2": 1}}},
        "negatives": {'the "query"': ["cheese, old; and\tdry"], "other": ["n1", "n2"]},
        "positive_queries": {},
    }


def test_a_cell_may_be_a_whole_document(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"query,positive\nwhat?,{'word ' * 40_000}\n")
    passages = read_sound(path).passages.values()
    assert [len(passage.text) for passage in passages] == [200_000]


def test_rows_know_their_lines(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('\nquery,positive\n"two\nlines",a\n\nb,c\n')
    places = [where for where, _ in table_rows(path, Faults())]
    assert places == [f"{path}:3", f"{path}:6"]


@cases(
    [
        broken_table(
            "a table whose first lines are blank",
            "pairs.CSV",
            "\n \nquery,positive\na\n",
            ("pairs.CSV:4", "got 1"),
        ),
        broken_table(
            "CSV rows of other lengths",
            "pairs.csv",
            'query,positive\n"two\nlines",fine\none,two,three\nalone\n',
            ("pairs.csv:4", "expected 2 cells as in the header, got 3", "Quote cells"),
            ("pairs.csv:5", "got 1"),
        ),
        broken_table(
            "a CSV quote that never ends",
            "pairs.csv",
            'query,positive\na,b\nc,"d\ne,f\n',
            ("pairs.csv:3", "cannot be read on from here", "Quote the cell"),
        ),
        broken_table(
            "a CSV header alone",
            "pairs.csv",
            "query,positive\n",
            ("pairs.csv", "a header and no rows"),
        ),
        broken_table("an empty TSV", "pairs.tsv", "\n", ("pairs.tsv", "holds no lines")),
        broken_table(
            "not Parquet",
            "pairs.parquet",
            "PAR?",
            ("pairs.parquet", "not a Parquet file", "Write it again"),
        ),
        broken_table(
            "a broken JSON list",
            "pairs.json",
            '[\n{"query": "q", "positive": "p"},\n',
            ("pairs.json:3", "not valid JSON", "Write one JSON list"),
        ),
        broken_table(
            "a JSON list of other things",
            "pairs.json",
            '[{"query": "q", "positive": "p"}, 3]',
            ("pairs.json:item 2", "expected an object, got a number", "Write a list of objects"),
        ),
        broken_table(
            "an empty JSON list", "pairs.json", "[]", ("pairs.json", "holds no rows", "Fill it")
        ),
    ]
)
def test_broken_files(case, tmp_path):
    assert_faults(case, tmp_path)
