"""One training: what changes, what is kept, when it stops, and that it goes on where it was broken off."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from train.trainings import Broken, same, state
from whet.encoder import PackedEncoder
from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY
from whet.losses import ContrastivePenalty, LossParts
from whet.moe.config import MoEConfig
from whet.moe.upcycle import backbone, expert_layers, upcycle
from whet.train import trainer as trainer_module
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.trainer import newest_checkpoint, train_model

CONFIG = TrainConfig(train_only="all", learning_rate=0.02, epochs=2, batch_size=32, evaluations=4)


@pytest.fixture
def model(tiny_model):
    return SentenceTransformer(str(tiny_model))


@pytest.fixture(scope="module")
def start(tiny_model, material, dev):
    """Train a fresh model in a folder; returns what `train` returns, the model, and the dev scores by step."""

    def run(folder, config=CONFIG, moe=None):
        model = SentenceTransformer(str(tiny_model))
        if moe is not None:
            upcycle(model, experts=moe.experts, seed=config.seed)
        trained = train_model(
            model, material, DevEvaluator(dev, folder / "dev"), config, folder / "scratch", moe
        )
        scores = {
            int(p.stem): json.loads(p.read_text())["means"][PRIMARY]
            for p in (folder / "dev").iterdir()
        }
        return trained, model, scores

    return run


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """What an unbroken training comes to."""
    return start(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("which", "part"),
    [("all", ""), ("intermediate", "intermediate.dense."), ("last-1", "encoder.layer.1.")],
)
def test_what_is_frozen_stays_bit_for_bit_and_the_rest_moves(start, model, tmp_path, which, part):
    trained, after, _ = start(
        tmp_path, CONFIG.model_copy(update={"train_only": which, "epochs": 1})
    )
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


def test_the_weights_of_the_checkpoint_that_is_named_are_kept(whole, dev, tmp_path):
    trained, model, scores = whole
    assert sorted(scores) == [2, 4, 6, 8]
    assert DevEvaluator(dev, tmp_path)(model)[PRIMARY] == scores[trained.best_step]


def test_the_last_step_is_scored_whatever_the_interval(start, tmp_path):
    assert sorted(start(tmp_path, CONFIG.model_copy(update={"evaluations": 3}))[2]) == [3, 6, 8]


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(start, whole, tmp_path):
    again = start(tmp_path / "again")
    other = start(tmp_path / "other", CONFIG.model_copy(update={"seed": 14}))
    assert same(state(whole[1]), state(again[1]))
    assert not same(state(whole[1]), state(other[1]))


def test_dropout_is_off_unless_asked_for(whole):
    assert {m.p for m in whole[1].modules() if isinstance(m, torch.nn.Dropout)} == {0.0}


@pytest.fixture
def broken_off(start, monkeypatch):
    """Start a training and break it off at a step."""

    def run(folder, step, config=CONFIG, moe=None):
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, "ProgressLine", Broken)
            patch.setattr(Broken, "step", step)
            with pytest.raises(KeyboardInterrupt):
                start(folder, config, moe)

    return run


def test_a_training_broken_off_goes_on_to_the_same_weights(start, broken_off, whole, tmp_path):
    broken_off(tmp_path, 7)
    scored = (tmp_path / "dev" / "6.json").stat().st_mtime_ns
    trained, model, scores = start(tmp_path)
    assert (tmp_path / "dev" / "6.json").stat().st_mtime_ns == scored, "it began anew"
    assert same(state(model), state(whole[1]))
    assert (trained.best_step, scores) == (whole[0].best_step, whole[2])


def test_random_batches_and_dropout_go_on_as_well(start, broken_off, tmp_path):
    config = CONFIG.model_copy(update={"batches": "random", "dropout": True})
    broken_off(tmp_path / "broken", 5, config)
    assert same(
        state(start(tmp_path / "broken", config)[1]), state(start(tmp_path / "whole", config)[1])
    )


def test_experts_learn_are_told_of_and_go_on_to_the_same_weights(start, broken_off, tmp_path):
    moe = MoEConfig(experts=2, learning_rate=0.05)
    config = CONFIG.model_copy(update={"train_only": "moe+norms"})
    trained, model, _ = start(tmp_path / "whole", config, moe)
    logged = [row for row in trained.log if "loss" in row]
    layers = list(expert_layers(backbone(model)))
    assert len(layers) == 2
    for row in logged:
        assert {"contrastive", "penalty", "balance", "z"} <= set(row)
        for layer in layers:
            assert sum(row[f"share/{layer}/{expert}"] for expert in range(2)) == pytest.approx(
                1, abs=1e-3
            )
    broken_off(tmp_path / "broken", 7, config, moe)
    assert same(state(start(tmp_path / "broken", config, moe)[1]), state(model))


@pytest.mark.parametrize("damage", ["state missing", "state cut off", "all missing"])
def test_a_checkpoint_written_by_half_is_passed_over(start, broken_off, whole, tmp_path, damage):
    broken_off(tmp_path, 7)
    newest = tmp_path / "scratch" / "checkpoint-6"
    assert newest_checkpoint(newest.parent) == str(newest)
    if damage == "state cut off":
        (newest / "trainer_state.json").write_text('{"global_step": 6, "log')
    else:
        (newest / "trainer_state.json").unlink()
    if damage == "all missing":
        shutil.rmtree(newest)
        newest.mkdir()
    assert newest_checkpoint(newest.parent) == str(newest.with_name("checkpoint-4"))
    assert same(state(start(tmp_path)[1]), state(whole[1]))


def test_a_training_broken_off_still_stops_early_where_it_would_have(
    start, broken_off, monkeypatch, tmp_path
):
    real = DevEvaluator.__call__
    monkeypatch.setattr(
        DevEvaluator, "__call__", lambda *args, **kwargs: real(*args, **kwargs) | {PRIMARY: 0.5}
    )
    config = CONFIG.model_copy(update={"patience": 2})
    whole = start(tmp_path / "whole", config)
    assert sorted(whole[2]) == [2, 4, 6]
    broken_off(tmp_path / "broken", 5, config)
    _, model, scores = start(tmp_path / "broken", config)
    assert scores == whole[2]
    assert same(state(model), state(whole[1]))


def test_a_training_killed_right_after_it_stopped_early_stays_stopped(start, monkeypatch, tmp_path):
    scores = iter([0.5, 0.4, 0.3, 0.9, 0.9])
    monkeypatch.setattr(
        "whet.train.dev.per_query", lambda qrels, *_: {PRIMARY: dict.fromkeys(qrels, next(scores))}
    )
    config = CONFIG.model_copy(
        update={"patience": 2, "evaluations": 8}
    )  # an evaluation at every step
    first, model, seen = start(tmp_path, config)
    again, same_model, seen_again = start(tmp_path, config)
    assert (first.best_step, sorted(seen)) == (1, [1, 2, 3])
    assert (again.best_step, sorted(seen_again)) == (1, [1, 2, 3])
    assert first.stopped_early
    assert again.stopped_early
    assert same(state(model), state(same_model))


def test_patience_that_ends_with_the_training_stops_nothing(start, monkeypatch, tmp_path, capsys):
    scores = iter([0.5, 0.4, 0.3, 0.2])
    real = DevEvaluator.__call__
    monkeypatch.setattr(
        DevEvaluator, "__call__", lambda *args, **kw: real(*args, **kw) | {PRIMARY: next(scores)}
    )
    trained, _, seen = start(tmp_path, CONFIG.model_copy(update={"patience": 3}))
    assert sorted(seen) == [2, 4, 6, 8]
    assert not trained.stopped_early
    assert "stops early" not in capsys.readouterr().err


@pytest.mark.parametrize("step", [1, 6])
def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(
    start, monkeypatch, tmp_path, step
):
    real = ContrastivePenalty.__call__
    calls = iter(range(1, 100))

    def spoilt(*args):
        factor = float("nan") if next(calls) == step else 1.0
        parts = real(*args)
        values = {name: factor * value for name, value in parts.values.items()}
        return LossParts(values, parts.weights)

    monkeypatch.setattr(ContrastivePenalty, "__call__", spoilt)
    folder = tmp_path / "scratch"
    place = (
        f"The last good checkpoint is {folder / 'checkpoint-4'}."
        if step == 6
        else "No checkpoint had been written"
    )
    with pytest.raises(
        TrainingError, match=rf"^the loss is nan at step {step}\. .*{re.escape(place)}"
    ):
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


@pytest.mark.parametrize("moe", [None, MoEConfig(experts=2)])
@pytest.mark.parametrize("weight", [0.0, 0.9, 1.0])
def test_the_watch_sees_the_unweighted_contrastive_part_where_there_is_one(
    start, monkeypatch, tmp_path, weight, moe
):
    contrastive, seen, real = [], [], ContrastivePenalty.__call__

    def noted(self, *args):
        parts = real(self, *args)
        contrastive.append(float(parts.values["contrastive"].detach()))
        return parts

    monkeypatch.setattr(ContrastivePenalty, "__call__", noted)
    monkeypatch.setattr(
        trainer_module.LossWatch,
        "see",
        lambda self, loss, contrastive, *_: seen.append(contrastive),
    )
    start(tmp_path, CONFIG.model_copy(update={"penalty_weight": weight, "epochs": 1}), moe)
    assert len(contrastive) == 4
    assert seen == ([None] * 4 if weight == 1 else contrastive)


def test_progress_shows_the_parts_of_the_loss_and_every_dev_score(start, tmp_path, capsys):
    start(tmp_path)
    shown = capsys.readouterr().err
    assert shown.count(f"dev {PRIMARY} ") == 4
    assert "train 32,384 of 32,384 parameters (all), learning rate 0.02" in shown
