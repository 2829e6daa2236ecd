"""The forgetting set holds every answer of its queries, and others, the same each time."""

import pytest

from whet.data.read import read
from whet.errors import ConfigError
from whet.records import Collection, Passage
from whet.train import forgetting
from whet.train.forgetting import forgetting_set
from whet.train.forgetting_config import GuardConfig


def test_the_set_holds_answers_and_others_and_is_the_same_each_time(tiny_data):
    collection, _ = read(tiny_data)
    config = GuardConfig(data=str(tiny_data), queries=10, passages=30)
    found = forgetting_set(config)
    assert len(found.queries) == len(found.qrels) == 10
    assert len(found.passages) == 30
    for query, judged in found.qrels.items():
        assert found.queries[query] == collection.queries[query]
        assert set(judged) <= set(found.passages)
    assert found == forgetting_set(config)
    assert forgetting_set(config.model_copy(update={"seed": 1})) != found


def test_there_may_be_none():
    assert forgetting_set(GuardConfig(data="none")) is None


def test_the_documentation_of_this_python_is_a_set(monkeypatch):
    monkeypatch.setattr(forgetting, "STANDARD_LIBRARY", "logging")  # all of it takes seconds
    found = forgetting_set(GuardConfig(data="pydoc", queries=5, passages=12))
    assert len(found.queries) == 5
    assert len(found.passages) == 12
    assert any("log" in text.lower() for text in found.passages.values())


def test_a_set_without_positives_is_refused(monkeypatch):
    empty = Collection("empty", {"p": Passage("p", "x")}, {"q": "y"}, {"test": {"q": {"p": 0}}})
    monkeypatch.setattr(forgetting, "read", lambda name: (empty, ()))
    with pytest.raises(ConfigError, match="no query with a positive"):
        forgetting_set(GuardConfig(data="x"))


@pytest.mark.parametrize(
    ("named", "asked"), [("NanoNQ", "zeta-alpha-ai/NanoNQ"), ("owner/set", "owner/set")]
)
def test_a_set_of_nano_beir_is_looked_for_where_it_lies(monkeypatch, named, asked):
    seen = []
    answer = Collection("x", {"p": Passage("p", "x")}, {"q": "y"}, {"train": {"q": {"p": 1}}})
    monkeypatch.setattr(forgetting, "read", lambda name: (seen.append(name), (answer, ()))[1])
    assert len(forgetting_set(GuardConfig(data=named)).queries) == 1
    assert seen == [asked]
