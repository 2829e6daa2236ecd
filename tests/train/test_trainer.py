"""One training: what changes, what stays, and that it goes on where it was broken off."""

import logging
import re
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from trainings import STEPS, broken_off, changed, dev_scores, same

from whet.encoder import PackedEncoder
from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY
from whet.losses import ContrastivePenalty
from whet.losses.parts import LossParts
from whet.moe.upcycle import backbone, expert_layers
from whet.train import trainer as trainer_module
from whet.train.dev import DevEvaluator
from whet.train.moe_config import MoEConfig
from whet.train.trainer import graph_tokens, newest_checkpoint


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """What an unbroken training comes to: what was done, the model, dev scores by step."""
    folder = tmp_path_factory.mktemp("whole")
    return *start(folder), dev_scores(folder)


@pytest.mark.parametrize(
    ("which", "part"),
    [("all", ""), ("intermediate", "intermediate.dense."), ("last-1", "encoder.layer.1.")],
)
def test_what_is_frozen_stays_bit_for_bit_and_the_rest_moves(start, model, tmp_path, which, part):
    trained, after = start(tmp_path, changed(train_only=which, epochs=1, evaluations=1))
    expected = {name: value for name, value in after.named_parameters() if part in name}
    moved = {
        name
        for name, value in model.named_parameters()
        if not torch.equal(value, after.get_parameter(name))
    }
    assert moved == {name for name in expected if ".pooler." not in name}, (
        "mean pooling never reads BERT's pooler"
    )
    assert trained.trained_parameters == sum(value.numel() for value in expected.values())
    assert trained.total_parameters == sum(value.numel() for value in after.parameters())


def test_the_weights_of_the_checkpoint_that_is_named_are_kept(whole, dev, tmp_path):
    trained, model, scores = whole
    assert sorted(scores) == [2, 4, 6, 8]
    assert DevEvaluator(dev, tmp_path)(model)[PRIMARY] == scores[trained.best_step]


def test_the_last_step_is_scored_whatever_the_interval(start, tmp_path):
    start(tmp_path, changed(evaluations=3))
    assert sorted(dev_scores(tmp_path)) == [3, 6, 8]


def test_without_an_evaluator_the_last_weights_stay(tiny_model, training_data, tmp_path):
    model = SentenceTransformer(str(tiny_model))
    config = changed(epochs=1)
    trained = trainer_module.train_model(model, training_data, None, config, tmp_path)
    assert (trained.best_step, trained.stopped_early) == (4, False)
    assert same(model, SentenceTransformer(str(tmp_path / "checkpoint-4")))


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(start, whole, tmp_path):
    assert same(start(tmp_path / "again")[1], whole[1])
    assert not same(start(tmp_path / "other", changed(seed=14))[1], whole[1])


def test_dropout_is_off_unless_asked_for(whole):
    dropouts = [part for part in whole[1].modules() if isinstance(part, torch.nn.Dropout)]
    assert {part.p for part in dropouts} == {0.0}


def test_every_dev_score_and_what_trains_is_logged(start, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    start(tmp_path)
    assert caplog.text.count(f"dev {PRIMARY} ") == 4
    assert "train 32,384 of 32,384 parameters (all), learning rate 0.02" in caplog.text


def test_memory_limits_the_tokens_whose_activations_are_kept(model):
    per_token = 18 * 4 * 32 * 2  # float32 vectors of 32 numbers, two layers
    assert graph_tokens(model, 64) == 64 * 2**20 // per_token
    assert graph_tokens(torch.nn.Linear(2, 2), 64) is None


# ---- broken off


def test_a_training_broken_off_goes_on_to_the_same_weights(start, whole, tmp_path):
    with broken_off(7):
        start(tmp_path)
    scored = (tmp_path / "dev" / "6.json").stat().st_mtime_ns
    trained, model = start(tmp_path)
    assert (tmp_path / "dev" / "6.json").stat().st_mtime_ns == scored, "it began from the start"
    assert same(model, whole[1])
    assert (trained.best_step, dev_scores(tmp_path)) == (whole[0].best_step, whole[2])


@pytest.mark.slow
def test_dropout_goes_on_as_well(start, tmp_path):
    config = changed(dropout=True, evaluations=2)
    with broken_off(5):
        start(tmp_path / "broken", config)
    broken = start(tmp_path / "broken", config)[1]
    assert same(broken, start(tmp_path / "whole", config)[1])


def test_experts_learn_are_logged_and_go_on_to_the_same_weights(start, tmp_path):
    moe = MoEConfig(experts=2, learning_rate=0.05)
    config = changed(train_only="moe+norms", evaluations=2)
    trained, model = start(tmp_path / "whole", config, moe=moe)
    layers = list(expert_layers(backbone(model)))
    assert len(layers) == 2
    for row in [row for row in trained.log if "loss" in row]:
        assert {"contrastive", "penalty", "balance", "z"} <= set(row)
        for layer in layers:
            shares = [row[f"share/{layer}/{expert}"] for expert in range(2)]
            assert sum(shares) == pytest.approx(1, abs=1e-3)
    with broken_off(5):
        start(tmp_path / "broken", config, moe=moe)
    assert same(start(tmp_path / "broken", config, moe=moe)[1], model)


@pytest.fixture
def broken(start, tmp_path):
    """The folder of checkpoints of a training that was broken off after its third, and the rest."""
    with broken_off(7):
        start(tmp_path)
    return tmp_path / "scratch"


@pytest.mark.parametrize("damage", ["state missing", "state cut off", "all missing"])
def test_a_checkpoint_written_by_half_is_passed_over(tmp_path, damage):
    for step in (4, 6, 10):
        checkpoint = tmp_path / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "trainer_state.json").write_text(f'{{"global_step": {step}}}')
    newest = tmp_path / "checkpoint-10"
    assert newest_checkpoint(tmp_path) == str(newest)
    if damage == "state cut off":
        (newest / "trainer_state.json").write_text('{"global_step": 10, "log')
    else:
        (newest / "trainer_state.json").unlink()
    if damage == "all missing":
        shutil.rmtree(newest)
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-6")


def test_training_goes_on_from_the_checkpoint_before_a_damaged_one(start, broken, whole, tmp_path):
    (broken / "checkpoint-6" / "trainer_state.json").write_text('{"global_step": 6, "log')
    assert newest_checkpoint(broken) == str(broken / "checkpoint-4")
    assert same(start(tmp_path)[1], whole[1])


# ---- worthless


@pytest.mark.parametrize("step", [1, 6])
def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(
    start, monkeypatch, tmp_path, step
):
    real = ContrastivePenalty.__call__
    calls = iter(range(1, 100))

    def spoilt(self, batch):
        parts = real(self, batch)
        factor = float("nan") if next(calls) == step else 1.0
        return LossParts(
            {name: factor * part for name, part in parts.values.items()}, parts.weights
        )

    monkeypatch.setattr(ContrastivePenalty, "__call__", spoilt)
    folder = tmp_path / "scratch"
    place = "No checkpoint had been written yet."
    if step == 6:
        place = f"The last good checkpoint is {folder / 'checkpoint-4'}."
    message = rf"^the loss is nan at step {step}\. .*{re.escape(place)}"
    with pytest.raises(TrainingError, match=message):
        start(tmp_path)
    if step == 6:
        SentenceTransformer(str(folder / "checkpoint-4"))
        assert len(list(folder.glob("checkpoint-*"))) <= 2


def test_a_model_that_tells_nothing_apart_stops_and_names_the_step(start, monkeypatch, tmp_path):
    real = PackedEncoder.encode_passages
    calls = iter(range(100))

    def blind(self, texts):
        vectors = real(self, texts)
        return np.ones_like(vectors) / vectors.shape[1] ** 0.5 if next(calls) == 2 else vectors

    monkeypatch.setattr(PackedEncoder, "encode_passages", blind)
    with pytest.raises(
        TrainingError, match=r"at step 4 .* standard deviation of .* checkpoint is .*checkpoint-2\."
    ):
        start(tmp_path)


@pytest.mark.parametrize(
    ("weight", "moe"), [(0.0, None), (0.9, None), (1.0, None), (0.9, MoEConfig(experts=2))]
)
def test_the_watch_sees_the_unweighted_contrastive_part_where_it_has_a_weight(
    start, monkeypatch, tmp_path, weight, moe
):
    parts, seen, real = [], [], ContrastivePenalty.__call__

    def noted(self, batch):
        found = real(self, batch)
        parts.append(found.values["contrastive"].item())
        return found

    monkeypatch.setattr(ContrastivePenalty, "__call__", noted)
    monkeypatch.setattr(
        trainer_module.LossWatch,
        "see",
        lambda self, loss, contrastive, *_: seen.append(contrastive),
    )
    start(tmp_path, changed(penalty_weight=weight, epochs=1, evaluations=1), moe=moe)
    assert len(parts) == STEPS // 2
    assert seen == ([None] * len(parts) if weight == 1 else parts)
