"""Re-mining: the pool against the whole corpus, and vectors of the newest weights only."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from whet.data.read import read
from whet.data.split import with_splits
from whet.encoder import PackedEncoder, StoredEncoder, packed
from whet.mine.ance import mine_negatives
from whet.mine.config import MineConfig
from whet.search.dense import top_k
from whet.train.refresh.pool import Pool, remine

CONFIG = MineConfig(negatives=3, depth=30)


@pytest.fixture(scope="module")
def collection(tiny_data):
    return with_splits(read(tiny_data)[0], seed=13)[0]


def vectors(collection, encoder):
    queries = encoder.encode_queries(
        [collection.queries[query] for query in collection.positives("train")]
    )
    return queries, encoder.encode_passages(
        [passage.content for passage in collection.passages.values()]
    )


def step(model):
    """One training step on anything: every weight moves."""
    model.train()
    features = model.preprocess(["ba de fi", "go lu ma"])
    loss = model(dict(features))["sentence_embedding"].var()
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight -= 5.0 * weight.grad.sign() * 0.01
    model.eval()


def test_the_whole_corpus_gives_what_mining_gives(collection, model):
    encoder = PackedEncoder(model)
    found = remine(collection, encoder, CONFIG, 20)
    queries, passages = vectors(collection, encoder)
    assert (found.mined, found.summary) == mine_negatives(collection, queries, passages, CONFIG)
    assert np.array_equal(found.ranks, top_k(queries, passages, 20).indices)
    assert (found.encoded, found.recall) == (len(collection.passages), 1.0)


def test_a_pool_holds_what_ranked_high_the_answers_and_a_sample_of_the_rest(collection, model):
    ranks = remine(collection, PackedEncoder(model), CONFIG, 2).ranks
    pool = Pool.of(collection, [ranks[:5]], 0.1, np.random.default_rng(0))
    row_of = {passage: row for row, passage in enumerate(collection.passages)}
    answers = {row_of[passage] for own in collection.positives("train").values() for passage in own}
    assert set(pool.inside.tolist()) == answers | set(ranks[:5].ravel().tolist())
    outside = len(collection.passages) - len(pool.inside)
    assert len(pool.sample) == -(-outside // 10)
    assert not set(pool.sample.tolist()) & set(pool.inside.tolist())


def test_a_pool_finds_what_the_corpus_would_where_it_holds_it(collection, model):
    encoder = PackedEncoder(model)
    whole = remine(collection, encoder, CONFIG, 30)
    pool = Pool.of(collection, [whole.ranks], 0.01, np.random.default_rng(0))
    found = remine(pool.part_of(collection), encoder, CONFIG, 30, pool)
    assert [one.negatives for one in found.mined] == [one.negatives for one in whole.mined]
    assert np.array_equal(found.ranks, whole.ranks)
    assert found.encoded == len(pool.rows)


@pytest.mark.parametrize(("held", "low", "high"), [(14, 0.7, 0.97), (4, 0.2, 0.6)])
def test_what_the_pool_misses_is_estimated_from_its_sample(collection, model, held, low, high):
    encoder = PackedEncoder(model)
    few = dict(list(collection.qrels["train"].items())[:8])
    small = replace(collection, qrels={"train": few})
    best = remine(small, encoder, CONFIG, 20).ranks
    estimated, exact = [], []
    for seed in range(20):
        pool = Pool.of(small, [best[:, :held]], 0.25, np.random.default_rng(seed))
        estimated.append(remine(pool.part_of(small), encoder, CONFIG, 20, pool).recall)
        exact.append(np.isin(best, pool.rows).mean())
    assert low < np.mean(exact) < high
    assert np.mean(estimated) == pytest.approx(np.mean(exact), abs=0.1)


def fresh(collection, model, folder):
    """Whether a store of vectors that an earlier state of the model has filled changes nothing."""
    remine(collection, StoredEncoder(PackedEncoder(model), folder), CONFIG, 20)
    step(model)
    stored = remine(collection, StoredEncoder(PackedEncoder(model), folder), CONFIG, 20)
    today = remine(collection, PackedEncoder(model), CONFIG, 20)
    return stored.mined == today.mined and np.array_equal(stored.ranks, today.ranks)


def test_after_a_step_every_vector_comes_from_the_new_weights(collection, model, tmp_path):
    before = remine(collection, PackedEncoder(model), CONFIG, 20)
    assert fresh(collection, model, tmp_path)
    assert remine(collection, PackedEncoder(model), CONFIG, 20).mined != before.mined


def test_a_store_by_the_models_name_would_be_noticed(collection, model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        packed, "fingerprint_of", lambda model: str(model.model_card_data.base_model)
    )
    assert not fresh(collection, model, tmp_path)
