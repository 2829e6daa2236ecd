"""Positive queries of hard negatives.

Proved: the most trusted source wins, the round trip is real, dev and test queries stay unseen.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

import whet
from whet.data.split import same_text
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.positives import (
    PositivesSummary,
    positive_queries,
    read_positive_queries,
    write_positive_queries,
)
from whet.generate.query_filter import QueryFilter
from whet.records import Collection, GenerationResult, MinedQuery, Negative, Passage, PositiveQuery
from whet.search.bm25 import Bm25
from whet.search.dense import Hits


def mined(*passages, query="q"):
    negatives = [
        Negative(passage, rank, 0.5, "ance") for rank, passage in enumerate(passages, start=1)
    ]
    return MinedQuery(query, tuple(negatives))


def bm25(data):
    return Bm25([passage.content for passage in data.passages.values()]).top_k


class Scripted:
    """Gives the texts of a mapping from passage ids."""

    name = "scripted"

    def __init__(self, texts):
        self.texts = texts

    def generate(self, requests):
        texts = [self.texts.get(request.passage.id, ()) for request in requests]
        return [GenerationResult(tuple(of_passage)) for of_passage in texts]


def offline(data, generator, *searches, max_rank=3):
    """The generator as the offline one, behind a filter with BM25 and these searches."""
    return {"extractive": (generator, QueryFilter(data, [bm25(data), *searches], max_rank))}


def rejected(summary):
    """Why the offline generator's texts were rejected."""
    return summary.filters["extractive"].turned_down


def small(**changes):
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
    passages = {name: Passage(name, text) for name, text in texts.items()}
    return replace(Collection("small", passages, queries, qrels), **changes)


def test_a_models_texts_come_before_the_offline_ones():
    data = small()
    model = Scripted({"fish": ["what swims"], "dogs": ["fish swim"]})
    copied = Scripted({"fish": ["fish swim"], "twin": ["cold water"]})
    generators = {
        "generated": (model, QueryFilter(data, [], from_model=True)),
        "extractive": (copied, QueryFilter(data, [])),
    }
    queries, summary = positive_queries(data, [mined("fish", "dogs", "twin", "mute")], generators)
    assert [(query.passage_id, query.source) for query in queries] == [
        ("fish", "generated"),
        ("dogs", "generated"),
        ("twin", "extractive"),
    ]
    assert (summary.generated, summary.extractive, summary.none) == (2, 1, 1)
    assert summary.line().endswith("2 generated, 1 extractive, 1 none")


def test_gold_comes_before_given_before_generated():
    data = small(positive_queries={"cats": ["x"], "dogs": ["who barks", "y"]})
    generator = Scripted({"cats": ["cats sleep"], "dogs": ["dogs bark"], "fish": ["fish swim"]})
    negatives = [mined("dogs", "cats"), mined("cats", "fish", "mute")]
    queries, summary = positive_queries(data, negatives, offline(data, generator))
    assert queries == [
        PositiveQuery("dogs", "who barks", "given"),
        PositiveQuery("cats", "what do cats do", "gold"),
        PositiveQuery("fish", "fish swim", "extractive"),
    ]
    assert (summary.passages, summary.none) == (4, 1)
    assert (summary.gold, summary.given, summary.extractive) == (1, 1, 1)
    several, _ = positive_queries(data, [mined("cats")], offline(data, generator), most=5)
    assert [query.text for query in several] == ["what do cats do", "cats?"]


def test_only_the_sources_asked_for_are_used():
    data = small()
    generators = offline(data, Scripted({"cats": ["warm sun"], "fish": ["fish swim"]}))
    negatives = [mined("cats", "fish")]
    gold, summary = positive_queries(data, negatives, generators, sources=["gold"])
    assert [(query.passage_id, query.text) for query in gold] == [("cats", "what do cats do")]
    assert (summary.gold, summary.none) == (1, 1)
    copied, summary = positive_queries(data, negatives, generators, sources=["extractive"])
    texts = {query.passage_id: query.text for query in copied}
    assert texts == {"cats": "warm sun", "fish": "fish swim"}
    assert (summary.gold, summary.extractive) == (0, 2)


def test_dev_and_test_queries_never_come_back_as_training_text():
    data = small(positive_queries={"dogs": ["Strangers  come at NIGHT"]})
    generator = Scripted(
        {"dogs": ["strangers come at night", "dogs bark"], "fish": ["cold clear water"]}
    )
    queries, summary = positive_queries(data, [mined("dogs", "fish")], offline(data, generator))
    assert queries == [PositiveQuery("dogs", "dogs bark", "extractive")]
    assert (rejected(summary)["already_a_query"], summary.none) == (2, 1)


def test_a_training_query_with_a_test_querys_text_is_no_gold():
    data = small()
    data = replace(data, queries=data.queries | {"e1": "Cats?", "t1": "cats?"})
    queries, summary = positive_queries(data, [mined("cats")], offline(data, Scripted({})))
    assert (queries, summary.none) == ([], 1)


def test_a_text_that_finds_another_passage_is_rejected_and_the_next_one_tried():
    data = small()
    generator = Scripted({"dogs": ["fish swim", "cats sleep", "dogs bark"], "twin": ["fish swim"]})
    generators = offline(data, generator, max_rank=1)
    queries, summary = positive_queries(data, [mined("dogs", "twin")], generators)
    assert queries == [
        PositiveQuery("dogs", "dogs bark", "extractive"),
        # Its double stands first, with the same text.
        PositiveQuery("twin", "fish swim", "extractive"),
    ]
    assert rejected(summary)["not_found"] == 2


def test_every_search_must_find_the_passage():
    def find_cats(queries, k):
        shape = (len(queries), k)
        return Hits(np.zeros(shape, np.int64), np.zeros(shape, np.float32))

    data = small()
    data = replace(data, qrels={"test": data.qrels["test"]})
    generator = Scripted({"dogs": ["dogs bark"], "cats": ["cats sleep"]})
    negatives = [mined("dogs", "cats")]
    queries, summary = positive_queries(data, negatives, offline(data, generator, find_cats))
    assert [query.passage_id for query in queries] == ["cats"]
    assert rejected(summary)["not_found"] == 1


@pytest.mark.parametrize("name", ["eda_tiny", "medquad_mini"])
def test_on_real_data_dev_and_test_stay_unseen_and_queries_lead_back(name, shared):
    data = whet.load(shared(name))
    passage_ids = list(data.passages)[:200]
    generators = offline(data, ExtractiveGenerator(data.passages.values()))
    queries, summary = positive_queries(data, [mined(*passage_ids)], generators)
    unseen = set()
    for split in ("dev", "test"):
        unseen |= {same_text(data.queries[query]) for query in data.qrels[split]}
    assert unseen.isdisjoint(same_text(query.text) for query in queries)
    assert summary.passages == len(passage_ids)
    assert summary.gold + summary.extractive + summary.none == summary.passages
    assert summary.extractive > 20
    search = bm25(data)
    row_of = {passage_id: row for row, passage_id in enumerate(data.passages)}
    positives = data.positives("train")
    for query in queries:
        if query.source == "gold":
            texts = {
                data.queries[query_id]
                for query_id, passages in positives.items()
                if query.passage_id in passages
            }
            assert query.text in texts
        else:
            assert row_of[query.passage_id] in search([query.text], 3).indices[0]


def test_what_is_written_is_read(tmp_path):
    queries = [
        PositiveQuery("p\u2028", "wo liegt\u0085 das?", "gold"),
        PositiveQuery("q", "東大寺", "extractive"),
    ]
    write_positive_queries(tmp_path / "positives.jsonl", queries)
    assert read_positive_queries(tmp_path / "positives.jsonl") == queries


def test_a_summary_is_read_from_what_it_was_written_to():
    data = small()
    generators = offline(data, Scripted({"fish": ["fish swim", "cats"], "dogs": ["cats"]}))
    _, summary = positive_queries(data, [mined("fish", "dogs")], generators)
    record = json.loads(json.dumps(summary.to_json()))
    assert list(record)[-1] == "sieves"
    assert PositivesSummary.from_json(record) == summary
