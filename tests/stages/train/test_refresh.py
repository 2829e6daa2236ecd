"""What re-mining needs from a run."""

import numpy as np
import pytest

from whet.search.bm25 import Bm25
from whet.stages.train.refresh import refresh_plan_of


@pytest.mark.parametrize("mine", [{"strategy": "ance", "skip": 0}, {"strategy": "mix", "skip": 3}])
def test_the_pool_takes_what_mining_looks_at(with_dev, changed, tmp_path, mine):
    run = changed(with_dev, mine={"depth": 30} | mine, refresh={"times": 1, "depth": 5})
    plan = refresh_plan_of(run, run.collection, run.recipe.train, tmp_path / "refresh")
    assert plan.depth == 5 + mine["skip"]
    queries = [run.collection.queries[query] for query in run.collection.positives("train")]
    lexical_ranks = 8 if mine["strategy"] == "mix" else 0
    lexical = Bm25(list(run.passages.values())).top_k(queries, lexical_ranks).indices
    assert np.array_equal(plan.first_ranks[:, plan.depth :], lexical)


@pytest.mark.parametrize(
    "settings",
    [
        {"refresh": {"times": "off"}},
        {"train": {"negatives": 0}, "refresh": {"times": "auto"}},
        {"train": {"loss": "soft"}, "refresh": {"times": "auto"}},
        {"mine": {"strategy": "bm25"}, "refresh": {"times": "auto"}},
    ],
)
def test_where_re_mining_makes_no_sense_there_is_no_plan(with_dev, changed, tmp_path, settings):
    run = changed(with_dev, **settings)
    assert refresh_plan_of(run, run.collection, run.recipe.train, tmp_path) is None
