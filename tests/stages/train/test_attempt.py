"""One training: synthetic queries are learned first, and half of that change is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tiny import RECIPE, tiny_collection
from whet.data.split import FOLDS
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.train import attempt
from whet.stages.train.attempt import (
    WorkFolders,
    pretrain_on_synthetic,
    train_once,
    training_data_of,
)
from whet.stages.train.choose_model import choose_model
from whet.train.interpolate import set_weights
from whet.train.moe_config import MoEConfig
from whet.train.trainer import train_model

ADDING = RECIPE | {"generate": {"passages": 30, "round_trip": 10}}


@pytest.fixture(scope="module")
def adding(tiny_model, tmp_path_factory):
    """A run with synthetic queries beside few real ones, up to what training needs."""
    folder = tmp_path_factory.mktemp("adding")
    data = tiny_collection(folder / "data", size=160, unasked=40)
    return build(open_run(data, str(tiny_model), folder / "run", overrides=ADDING), "teach")


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def test_synthetic_queries_are_learned_first(adding, sources, tmp_path, monkeypatch):
    calls = []

    def recorded(model, data, evaluator, config, *more):
        pairs = [(pair.query_id, pair.positive_id) for pair in data.pairs]
        calls.append((weights_of(model), pairs, config))
        return train_model(model, data, evaluator, config, *more)

    monkeypatch.setattr(attempt, "train_model", recorded)
    short = replace(
        adding,
        settings=replace(
            adding.settings, overrides=ADDING | {"train": RECIPE["train"] | {"epochs": 1}}
        ),
    )
    choose_model(short, tmp_path / "train", sources(adding))
    base = weights_of(adding.fresh_model())
    (first_weights, first_pairs, first_config), *later = calls
    assert first_pairs == [(q.query_id, q.passage_id) for q in adding.synthetic_queries]
    assert (first_config.epochs, first_config.soft_weight) == (1, 0)
    assert all(torch.equal(first_weights[name], base[name]) for name in base)
    assert len(later) == FOLDS + 1
    start = later[0][0]
    for weights, pairs, config in later:
        assert {query for query, _ in pairs} <= set(adding.collection.positives("train"))
        assert config == short.recipe.train
        assert all(torch.equal(weights[name], start[name]) for name in base)
    assert any(not torch.equal(start[name], base[name]) for name in base)
    assert later[-1][1] == adding.collection.pairs("train")


@pytest.mark.parametrize("only", ["moe", "intermediate+norms"])
def test_experts_and_other_parts_start_from_them_too(adding, changed, sources, tmp_path, only):
    experts = 2 if only == "moe" else 0
    learning = changed(adding, train={"train_only": only, "epochs": 1}, moe={"experts": experts})
    file = pretrain_on_synthetic(learning, tmp_path / "first", sources(adding))
    still = changed(learning, train={"learning_rate": 1e-9})
    data = training_data_of(still, still.collection, sources(adding))
    folders = WorkFolders(tmp_path / "checkpoints", tmp_path / "refresh")
    moe = MoEConfig(experts=experts)
    model = train_once(still, data, still.recipe.train, moe, folders, start_weights=file).model
    texts = list(adding.passages.values())[:20]
    pretrained = adding.fresh_model()
    set_weights(pretrained, load_file(file))
    np.testing.assert_allclose(model.encode(texts), pretrained.encode(texts), atol=1e-5)
    before = adding.fresh_model().encode(texts)
    assert np.abs(pretrained.encode(texts) - before).max() > 1e-3


def test_interpolation_is_with_base_and_pretraining_is_done_once(
    adding, changed, sources, tmp_path, monkeypatch
):
    folder = tmp_path / "first"
    file = pretrain_on_synthetic(adding, folder, sources(adding))
    base = weights_of(adding.fresh_model())
    assert set(load_file(file)) == set(base)
    interpolated = changed(adding, guard={"interpolate": True}, train={"epochs": 1})
    train, moe = interpolated.recipe.trials()[interpolated.recipe.train.train_only]
    data = training_data_of(adding, adding.collection, sources(adding))
    folders = WorkFolders(tmp_path / "checkpoints", tmp_path / "refresh")
    base_weights = train_once(
        interpolated, data, train, moe, folders, start_weights=file
    ).base_weights
    assert all(torch.equal(base_weights[name], base[name]) for name in base)

    def fail(*_):
        raise AssertionError("the synthetic queries were learned again")

    monkeypatch.setattr(attempt, "train_model", fail)
    assert pretrain_on_synthetic(adding, folder, sources(adding)) == file
