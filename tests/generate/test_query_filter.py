"""Each reason of the filter rejects what it is for, and only that."""

import json

import pytest

from whet.generate.query_filter import FilterSummary, QueryFilter
from whet.records import Collection, Passage
from whet.search.bm25 import Bm25

TEXT = (
    "The town hall renews identity cards on weekdays between nine and noon, and on Thursdays in "
    "the afternoon too. You need a photograph that is not older than six months and the old card."
)
PASSAGES = {
    "card": TEXT,
    "dogs": "Dogs are taxed by the town.",
    "bins": "The bins are emptied on Mondays.",
}


@pytest.fixture
def query_filter():
    """A filter of a model's texts over three passages and one query, with BM25 as its search."""
    passages = {name: Passage(name, text) for name, text in PASSAGES.items()}
    collection = Collection("town", passages, {"q": "who empties bins"}, {})
    search = Bm25(list(PASSAGES.values())).top_k
    return QueryFilter(collection, [search], max_rank=1, from_model=True, distinct=True)


def test_every_reason_rejects_what_it_is_for(query_filter):
    texts = {
        "": "where do I renew my identity card",
        "duplicate": "Where do I renew my identity card",
        "already_a_query": "Who empties bins",
        "too_short": "card",
        "too_long": "identity card " * 40,
        "about_the_text": "what does this passage say about identity cards",
        "copy": TEXT[:100],
        "wrong_language": "wo kann ich im Rathaus meinen alten Personalausweis verlängern lassen",
        "not_found": "how are dogs taxed",
    }
    passes = query_filter.filter([("card", text) for text in texts.values()])
    assert passes == [reason == "" for reason in texts]
    # A text that was rejected before is no duplicate.
    assert query_filter.filter([("dogs", "how are dogs taxed")]) == [True]
    query_filter.count_failure("card", "refused")
    summary = query_filter.summary()
    assert summary.passed == 2
    reasons = sorted({*texts, "not_written"} - {""})
    assert summary.turned_down == dict.fromkeys(reasons, 1)
    example = {"passage_id": "card", "text": "how are dogs taxed"}
    assert summary.examples["not_found"] == [example]


def test_a_summary_is_read_from_what_it_was_written_to(query_filter):
    query_filter.filter([("card", "card")] * 5 + [("card", "where do I renew my identity card")])
    summary = query_filter.summary()
    record = json.loads(json.dumps(summary.to_json()))
    assert list(record) == ["passed", "turned_down", "examples"]
    assert FilterSummary.from_json(record) == summary
    assert len(record["examples"]["too_short"]) == 3  # of 5


def test_what_the_offline_generator_copies_by_design_passes(query_filter):
    offline = QueryFilter(query_filter.collection, query_filter.searches, max_rank=1)
    assert offline.filter([("card", TEXT[:100]), ("card", TEXT[:100])]) == [True, True]


def test_a_passage_that_reads_the_same_counts_as_found():
    passages = {name: Passage(name, "Dogs are  taxed") for name in ("first", "second")}
    collection = Collection("twins", passages, {}, {})
    search = Bm25([passage.content for passage in passages.values()]).top_k
    query_filter = QueryFilter(collection, [search], max_rank=1)
    assert query_filter.filter([("first", "dogs taxed"), ("second", "dogs taxed")]) == [True, True]
