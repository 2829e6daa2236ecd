"""Selection by a dev split: few real dev queries choose as folds do, many by the best score."""

from dataclasses import replace

import numpy as np
import pytest

from whet.evaluate.measures import PRIMARY
from whet.files import read_json, read_jsonl
from whet.models import load_model
from whet.run.training_result import TrainingResult
from whet.stages.train import held_out
from whet.stages.train.choose_model import choose_model
from whet.train.callbacks import TakeLast
from whet.train.dev import FORGETTING, DevEvaluator, DevScores


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


@pytest.mark.parametrize("experts", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_interpolation_goes_no_farther_than_the_forgetting_check_allows(
    with_dev, changed, sources, tiny_data, tmp_path, experts
):
    check = {"data": str(tiny_data), "interpolate": True, "queries": 20, "passages": 60}
    run = changed(with_dev, guard=check | {"shares": [0.25, 0.5, 1.0]}, moe={"experts": experts})
    folder = tmp_path / "train"
    choose_model(run, folder, sources(run))
    result = TrainingResult.from_json(read_json(folder / "result.json"))
    assert [point.share for point in result.line] == [0.25, 0.5, 1.0]
    floor = result.guard_base - run.recipe.guard.budget
    allowed = {point.share: point for point in result.line if point.guard >= floor}
    taken = allowed[result.share]
    assert (result.kept, result.dev_best, result.guard_tuned) == ("tuned", taken.dev, taken.guard)
    logged = [row for row in read_jsonl(folder / "log.jsonl") if f"eval_{PRIMARY}" in row]
    assert all(f"eval_{FORGETTING}" in row for row in logged)
    at_best = next(row for row in logged if row["step"] == result.best_step)
    assert result.line[-1].dev == pytest.approx(at_best[f"eval_{PRIMARY}"])
    model = load_model(str(folder / "model"))
    assert not np.allclose(model.encode("stone"), run.base_model.encode("stone"))
