"""The dev pool holds what a score needs, within its budget; the evaluator writes its scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from whet.encoder import PackedEncoder
from whet.errors import ArtifactError, TrainingError
from whet.evaluate.measures import PRIMARY, means, per_query
from whet.evaluate.retrieve import retrieve
from whet.records import Collection, Passage
from whet.train.dev import (
    BASE_KEY,
    MAX_BM25_RANK,
    MIN_QUERIES,
    DevEvaluator,
    dev_set,
    ndcg_on,
)

LENGTH = 10


def collection_of(passages, dev):
    texts = {f"p{i}": Passage(f"p{i}", f"{i:0{LENGTH}d}") for i in range(passages)}
    queries = {query: f"text of {query}" for query in dev}
    return Collection(
        "made", texts, queries, {"dev": {query: dict(found) for query, found in dev.items()}}
    )


DATA = collection_of(200, {"a": {"p3": 1, "p4": 2, "p5": 0}, "b": {"p190": 1}, "none": {"p7": 0}})
RANKING = {
    "a": {f"p{i}": 1 - i / 100 for i in range(50, 100)},
    "b": {f"p{i}": 1 - i / 300 for i in range(100, 190)},
}


def pool(budget, seed=0):
    return dev_set(DATA, RANKING, np.random.default_rng(seed), budget)


def test_positives_are_in_the_pool_whatever_the_budget_and_as_much_again_of_others():
    found = pool(budget=0)
    assert set(found.passages) > {"p3", "p4", "p190"}
    assert len(found.passages) == 6
    assert set(found.passages) > hard_up_to(1)
    assert list(found.queries) == ["a", "b"]


def test_where_positives_fill_the_pool_fewer_queries_are_asked():
    many = collection_of(400, {f"q{i}": {f"p{i}": 1} for i in range(300)})
    ranking = {f"q{i}": {f"p{300 + i % 100}": 1.0} for i in range(300)}
    drawn = [dev_set(many, ranking, np.random.default_rng(seed), 240 * LENGTH) for seed in (0, 1)]
    for found in drawn:
        assert len(found.queries) == 120  # half of the budget is theirs
        assert list(found.queries) == list(found.qrels)
        assert list(found.queries) == [query for query in many.queries if query in found.queries]
        assert len(found.passages) == 240
    assert set(drawn[0].queries) != set(drawn[1].queries)
    assert len(dev_set(many, ranking, np.random.default_rng(0), 0).queries) == MIN_QUERIES


def hard_up_to(rank):
    return {f"p{first + place}" for first in (50, 100) for place in range(rank)}


def test_hard_passages_come_in_rank_by_rank_and_leave_room_for_random_ones():
    found = set(
        pool(budget=53 * LENGTH).passages
    )  # 50 beside the positives, a fifth of them at random
    assert len(found) == 53
    assert found > {"p3", "p4", "p190"} | hard_up_to(20)
    assert not found > hard_up_to(25)
    assert hard_up_to(2) < set(pool(budget=8 * LENGTH).passages)


def test_hard_passages_end_at_a_rank():
    most = pool(budget=180 * LENGTH, seed=2)
    assert hard_up_to(MAX_BM25_RANK) < set(most.passages)
    assert not hard_up_to(50) < set(most.passages)


def test_the_rest_of_the_budget_is_drawn_at_random_in_corpus_order():
    found = pool(budget=100 * LENGTH)
    assert len(found.passages) == 100
    assert list(found.passages) == [p for p in DATA.passages if p in found.passages]
    assert found == pool(budget=100 * LENGTH)
    assert found.passages != pool(budget=100 * LENGTH, seed=1).passages
    assert set(pool(budget=0).passages) < set(found.passages)


def test_a_budget_for_everything_takes_the_whole_corpus():
    found = pool(budget=10**6)
    assert found.passages == {p: passage.content for p, passage in DATA.passages.items()}


def test_the_evaluator_scores_as_the_final_evaluation_does_and_writes_it_down(model, dev, tmp_path):
    scores = DevEvaluator(dev, tmp_path)(model, epoch=1.5, steps=12)
    expected = per_query(dev.qrels, retrieve(PackedEncoder(model), dev.queries, dev.passages))
    assert scores == means(expected)
    assert 0 < scores[PRIMARY] < 1
    written = json.loads((tmp_path / "12.json").read_text())
    assert written == {"epoch": 1.5, "means": scores, "per_query": expected}


def test_scores_under_a_key_are_read_back_with_the_forgetting_check(model, dev, tmp_path):
    few = dict(list(dev.qrels.items())[:5])
    check = replace(dev, queries={query: dev.queries[query] for query in few}, qrels=few)
    evaluator = DevEvaluator(dev, tmp_path, check)
    scores = evaluator.score(model, "50")
    assert evaluator.read("50") == evaluator.read(50) == scores
    assert scores.primary == scores.means[PRIMARY]
    assert scores.primary == pytest.approx(np.mean(list(scores.primary_per_query.values())))
    assert scores.forgetting == ndcg_on(PackedEncoder(model), check)
    assert DevEvaluator(dev, tmp_path).score(model, "51").forgetting is None
    with pytest.raises(ArtifactError, match=r"52\.json"):
        evaluator.read(52)


@pytest.fixture
def blind(model):
    """A model that gives all texts the same vector."""
    model[0].auto_model.embeddings.word_embeddings.weight.data.zero_()
    model[0].auto_model.embeddings.position_embeddings.weight.data.zero_()
    return model


def test_a_model_that_tells_nothing_apart_is_refused(blind, dev, tmp_path):
    with pytest.raises(
        TrainingError,
        match=r"at step 8 the model does not tell passages apart: the cosines of 64 p",
    ):
        DevEvaluator(dev, tmp_path)(blind, steps=8)
    with pytest.raises(TrainingError, match=r"at weight 0\.5 the model does not"):
        DevEvaluator(dev, tmp_path).score(blind, "50", place="weight 0.5")
    assert not list(tmp_path.iterdir())


def test_a_base_model_is_never_refused(blind, dev, tmp_path):
    DevEvaluator(dev, tmp_path).score(blind, BASE_KEY)


def test_two_passages_have_no_spread(blind, dev, tmp_path):
    few = replace(dev, passages=dict(list(dev.passages.items())[:2]))
    DevEvaluator(few, tmp_path)(blind, steps=3)
