"""Selection by a dev split: with few real dev queries as folds choose, with many by the best score."""

from dataclasses import replace

import pytest

from whet.evaluate.measures import PRIMARY
from whet.stages.train import held_out
from whet.train.callbacks import TakeLast
from whet.train.dev import DevEvaluator, DevScores


@pytest.mark.parametrize("has_few", [True, False])
def test_few_dev_queries_choose_as_folds_do(with_dev, sources, tmp_path, monkeypatch, has_few):
    setup = held_out.prepare(with_dev, tmp_path / "train", sources(with_dev))
    queries = list(setup.baseline.per_query)
    assert 10 <= len(queries) < held_out.MIN_QUERIES_TO_RANK
    if not has_few:
        monkeypatch.setattr(held_out, "MIN_QUERIES_TO_RANK", len(queries))
    # One query loses, more at the higher weight: too little to show that anything is worse.
    change = {"50": -0.1, "100": -0.2}
    whole = DevEvaluator.score

    def score(self, model, key, **more):
        if key not in change or self.folder.name != "shares":
            return whole(self, model, key, **more)
        values = dict.fromkeys(queries, 0.8) | {queries[0]: 0.8 + change[key]}
        mean = sum(values.values()) / len(values)
        return DevScores(-1, {PRIMARY: mean}, {PRIMARY: values})

    monkeypatch.setattr(DevEvaluator, "score", score)
    monkeypatch.setattr(TakeLast, "on_evaluate", lambda *_, **__: None)
    baseline = replace(setup.baseline, dev=1.0, per_query=dict.fromkeys(queries, 0.8))
    train, moe = with_dev.recipe.trials()[with_dev.recipe.train.train_only]
    candidate = held_out.train_candidate(replace(setup, baseline=baseline), "", train, moe)
    expected = (1.0, True) if has_few else (0.5, False)
    assert (candidate.share, candidate.is_better) == expected


def test_synthetic_dev_queries_never_count_as_few(with_dev, sources, tmp_path):
    setup = held_out.prepare(with_dev, tmp_path / "train", sources(with_dev))
    assert setup.has_few_queries
    source = replace(with_dev.source, synthetic=frozenset({"train", "dev", "test"}))
    assert not replace(setup, run=replace(with_dev, source=source)).has_few_queries
