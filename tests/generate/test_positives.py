"""Positive queries of negatives: the most trusted source wins, the round trip is real, dev and test stay unseen."""

from pathlib import Path

import numpy as np
import pytest

import whet
from whet.data.split import same_text
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.positives import positive_queries, read_positive_queries, write_positive_queries
from whet.generate.query_filter import QueryFilter
from whet.records import Collection, MinedQuery, Negative, Passage, PositiveQuery, GenerationResult
from whet.search.bm25 import Bm25
from whet.search.dense import Hits

SHARED = Path(__file__).parents[3] / "shared" / "data"


def mined(*passages, query="q"):
    return MinedQuery(
        query, tuple(Negative(p, rank, 0.5, "ance") for rank, p in enumerate(passages, start=1))
    )


def lexical(data):
    return Bm25([passage.content for passage in data.passages.values()]).top_k


class Scripted:
    """Writes what it was told to, whatever the passage says."""

    def __init__(self, texts):
        self.texts = texts

    name = "scripted"

    def generate(self, requests):
        return [GenerationResult(tuple(self.texts.get(request.passage.id, ()))) for request in requests]


def writers(data, generator, *searches, within=3):
    """The generator as the offline one, behind a sieve with these searches, BM25 first."""
    return {"extractive": (generator, QueryFilter(data, [lexical(data), *searches], within))}


def dropped(summary):
    """What the offline generator's texts were turned down for."""
    return summary.filters["extractive"].turned_down


def test_a_models_texts_come_before_the_offline_ones():
    data = small()
    sources = {
        "generated": (
            Scripted({"fish": ["what swims"], "dogs": ["fish swim"]}),
            QueryFilter(data, [], from_model=True),
        ),
        "extractive": (
            Scripted({"fish": ["fish swim"], "twin": ["cold water"]}),
            QueryFilter(data, []),
        ),
    }
    found, summary = positive_queries(data, [mined("fish", "dogs", "twin", "mute")], sources)
    assert [(one.passage_id, one.source) for one in found] == [
        ("fish", "generated"),
        ("dogs", "generated"),
        ("twin", "extractive"),
    ]
    assert (summary.generated, summary.extractive, summary.none) == (2, 1, 1)
    assert summary.line().endswith("2 generated, 1 extractive, 1 none")


def small():
    texts = {
        "cats": "cats sleep all day in the warm sun",
        "dogs": "dogs bark at night when strangers come",
        "fish": "fish swim in cold clear water",
        "twin": "fish swim in cold clear water",
        "mute": "…",
    }
    queries = {
        "t1": "what do cats do",
        "t2": "cats?",
        "e1": "strangers come at night",
        "v1": "Cold clear water",
    }
    qrels = {
        "train": {"t1": {"cats": 1}, "t2": {"cats": 2, "mute": 0}},
        "test": {"e1": {"dogs": 1}},
        "dev": {"v1": {"fish": 1}},
    }
    return Collection("small", {p: Passage(p, text) for p, text in texts.items()}, queries, qrels)


def test_gold_comes_before_given_before_generated():
    data = small()
    data = Collection(
        data.name,
        data.passages,
        data.queries,
        data.qrels,
        {},
        {"cats": ["x"], "dogs": ["who barks", "y"]},
    )
    generator = Scripted({"cats": ["cats sleep"], "dogs": ["dogs bark"], "fish": ["fish swim"]})
    found, summary = positive_queries(
        data, [mined("dogs", "cats"), mined("cats", "fish", "mute")], writers(data, generator)
    )
    assert found == [
        PositiveQuery("dogs", "who barks", "given"),
        PositiveQuery("cats", "what do cats do", "gold"),
        PositiveQuery("fish", "fish swim", "extractive"),
    ]
    assert (summary.passages, summary.gold, summary.given, summary.extractive, summary.none) == (
        4,
        1,
        1,
        1,
        1,
    )
    several, _ = positive_queries(data, [mined("cats")], writers(data, generator), most=5)
    assert [query.text for query in several] == ["what do cats do", "cats?"]


def test_only_the_sources_asked_for_are_used():
    data = small()
    writer = writers(data, Scripted({"cats": ["warm sun"], "fish": ["fish swim"]}))
    negatives = [mined("cats", "fish")]
    gold, summary = positive_queries(data, negatives, writer, sources=["gold"])
    assert [(one.passage_id, one.text) for one in gold] == [("cats", "what do cats do")]
    assert (summary.gold, summary.none) == (1, 1)
    offline, summary = positive_queries(data, negatives, writer, sources=["extractive"])
    assert {one.passage_id: one.text for one in offline} == {
        "cats": "warm sun",
        "fish": "fish swim",
    }
    assert (summary.gold, summary.extractive) == (0, 2)


def test_dev_and_test_queries_never_come_back_as_training_text():
    data = small()
    answers = {"dogs": ["Strangers  come at NIGHT"]}
    data = Collection(data.name, data.passages, data.queries, data.qrels, {}, answers)
    generator = Scripted(
        {"dogs": ["strangers come at night", "dogs bark"], "fish": ["cold clear water"]}
    )
    found, summary = positive_queries(data, [mined("dogs", "fish")], writers(data, generator))
    assert found == [PositiveQuery("dogs", "dogs bark", "extractive")]
    assert (dropped(summary)["already_a_query"], summary.none) == (2, 1)


def test_a_training_query_with_a_test_querys_text_is_no_gold():
    data = small()
    data = Collection(
        data.name, data.passages, data.queries | {"e1": "Cats?", "t1": "cats?"}, data.qrels
    )
    found, summary = positive_queries(data, [mined("cats")], writers(data, Scripted({})))
    assert (found, summary.none) == ([], 1)


def test_a_text_that_finds_another_passage_is_turned_down_and_the_next_one_tried():
    data = small()
    generator = Scripted({"dogs": ["fish swim", "cats sleep", "dogs bark"], "twin": ["fish swim"]})
    found, summary = positive_queries(
        data, [mined("dogs", "twin")], writers(data, generator, within=1)
    )
    assert found == [
        PositiveQuery("dogs", "dogs bark", "extractive"),
        PositiveQuery(
            "twin", "fish swim", "extractive"
        ),  # its double stands first, with the same text
    ]
    assert dropped(summary)["not_found"] == 2


def test_every_search_must_find_the_passage():
    data = small()

    def stubborn(queries, k):
        return Hits(np.zeros((len(queries), k), np.int64), np.zeros((len(queries), k), np.float32))

    generator = Scripted({"dogs": ["dogs bark"], "cats": ["cats sleep"]})
    data = Collection(data.name, data.passages, data.queries, {"test": data.qrels["test"]})
    found, summary = positive_queries(
        data, [mined("dogs", "cats")], writers(data, generator, stubborn)
    )
    assert [query.passage_id for query in found] == ["cats"]
    assert dropped(summary)["not_found"] == 1


@pytest.mark.parametrize("name", ["eda_tiny", "medquad_mini"])
def test_on_real_data_nothing_of_dev_or_test_is_used_and_what_is_found_leads_back(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    data = whet.load(SHARED / name)
    search = lexical(data)
    negatives = [mined(*list(data.passages)[:400])]
    found, summary = positive_queries(
        data, negatives, writers(data, ExtractiveGenerator(data.passages.values()))
    )
    unseen = {
        same_text(data.queries[query]) for split in ("dev", "test") for query in data.qrels[split]
    }
    assert unseen.isdisjoint(same_text(query.text) for query in found)
    assert (
        summary.gold + summary.extractive + summary.none
        == summary.passages
        == min(400, len(data.passages))
    )
    assert summary.extractive > 20
    rows = {passage: row for row, passage in enumerate(data.passages)}
    for query in found:
        if query.source == "gold":
            trained = [
                q
                for q, positives in data.positives("train").items()
                if query.passage_id in positives
            ]
            assert query.text in {data.queries[q] for q in trained}
        else:
            assert rows[query.passage_id] in search([query.text], 3).indices[0]


def test_what_is_written_is_read(tmp_path):
    queries = [
        PositiveQuery("p\u2028", "wo liegt\u0085 das?", "gold"),
        PositiveQuery("q", "東大寺", "extractive"),
    ]
    write_positive_queries(tmp_path / "positives.jsonl", queries)
    assert read_positive_queries(tmp_path / "positives.jsonl") == queries
