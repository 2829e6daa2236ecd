"""What `write_beir` writes, `whet.load` reads back."""

import pytest

import whet
from whet.data.pydoc_corpus import build_pydoc_collection
from whet.data.write import write_beir
from whet.errors import ConfigError
from whet.records import Collection, Passage


def test_real_documentation_comes_back_as_it_was(tmp_path):
    written = build_pydoc_collection(limit=200, seed=0, packages=["asyncio"])
    write_beir(written, tmp_path / "pydoc")
    assert whet.load(tmp_path / "pydoc") == written


def test_titles_grades_and_odd_characters_come_back(tmp_path):
    passages = {
        "a": Passage("a", "line one\nline two\u2028 “quoted”", "Title\twith tab"),
        "b": Passage("b", "ß 漢字 🦊"),
    }
    qrels = {"train": {"q1": {"a": 2, "b": 0}}, "dev": {"q2": {"b": 1}}, "test": {"q3": {"a": 1}}}
    written = Collection("odd", passages, {"q1": "one?", "q2": "two?", "q3": "three?"}, qrels)
    write_beir(written, tmp_path / "odd")
    read = whet.load(tmp_path / "odd")
    assert (read.passages, read.queries, read.qrels) == (
        written.passages,
        written.queries,
        written.qrels,
    )


def test_what_beir_cannot_hold_is_refused(tmp_path):
    held = Collection("c", {}, {}, {}, positive_queries={"a": ["which?"]})
    with pytest.raises(ConfigError, match="cannot hold its positive queries"):
        write_beir(held, tmp_path)
    assert not list(tmp_path.iterdir())
