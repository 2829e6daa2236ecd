"""The cache of frozen lower layers: same vectors and weights, and each text through them once."""

import logging

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from architectures import FAMILIES, build
from tiny import tiny_bert
from whet.encoder import PackedEncoder
from whet.encoder.layers import blocks
from whet.moe.upcycle import backbone, upcycle
from whet.train import prefix
from whet.train.config import TrainConfig
from whet.train.freeze import train_only, without_dropout
from whet.train.moe_config import MoEConfig
from whet.train.prefix import PrefixCache, frozen_below, prefix_cache
from whet.train.trainer import train_model

TEXTS = ["ba de fi", "go lu", "ma ne pi ro su ta", "ba", "ve ki zo hu ba de fi go lu ma"]
PLENTY = 1 << 30


class Counted:
    """Counts the texts that go through a model's lowest layer."""

    def __init__(self, model):
        self.texts = 0
        blocks(backbone(model))[0].attention.register_forward_hook(self._seen)

    def _seen(self, module, inputs, output):
        self.texts += len(inputs[0])


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "Qwen3"])
def test_every_family_gives_the_same_vectors_from_the_cache(family, tmp_path):
    model = build(FAMILIES[family], tmp_path)
    without_dropout(model)
    expected = PackedEncoder(model).encode_passages(TEXTS)
    with PrefixCache(model, 1, tmp_path / "hidden", PLENTY) as cache:
        first = PackedEncoder(model).encode_passages(TEXTS[:3])
        known = len(cache.places)
        again = PackedEncoder(model).encode_passages(TEXTS)
        assert known == 3
        assert len(cache.places) == len(TEXTS)
    assert np.abs(first - expected[:3]).max() < 1e-6
    assert np.abs(again - expected).max() < 1e-6
    assert not (tmp_path / "hidden").exists()
    assert np.array_equal(PackedEncoder(model).encode_passages(TEXTS), expected)


def test_a_text_goes_through_the_lower_layers_once(tiny_model, tmp_path):
    model = SentenceTransformer(str(tiny_model))
    without_dropout(model)
    counted = Counted(model)
    with PrefixCache(model, 1, tmp_path / "hidden", PLENTY):
        for _ in range(3):
            PackedEncoder(model).encode_passages(TEXTS)
    assert counted.texts == len(TEXTS)


def test_precisions_are_kept_apart(tiny_model, tmp_path):
    model = SentenceTransformer(str(tiny_model))
    without_dropout(model)
    exact, rough = PackedEncoder(model), PackedEncoder(model, autocast=torch.bfloat16)
    expected = exact.encode_passages(TEXTS), rough.encode_passages(TEXTS)
    assert not np.array_equal(*expected)
    with PrefixCache(model, 1, tmp_path / "hidden", PLENTY):
        for _ in range(2):
            assert np.abs(rough.encode_passages(TEXTS) - expected[1]).max() < 1e-6
            assert np.abs(exact.encode_passages(TEXTS) - expected[0]).max() < 1e-6


def test_a_full_file_takes_no_more_and_changes_nothing(tiny_model, tmp_path):
    model = SentenceTransformer(str(tiny_model))
    without_dropout(model)
    expected = PackedEncoder(model).encode_passages(TEXTS)
    with PrefixCache(model, 1, tmp_path / "hidden", 1) as cache:
        PackedEncoder(model).encode_passages(TEXTS[:2])
        assert len(cache.places) == 2
        assert np.abs(PackedEncoder(model).encode_passages(TEXTS) - expected).max() < 1e-6
        assert len(cache.places) == 2


@pytest.mark.parametrize(
    ("which", "below"),
    [("all", 0), ("intermediate", 0), ("norms", 0), ("last-1", 3), ("last-3", 1), ("last-4", 0)],
)
def test_what_is_frozen_below(tmp_path, which, below):
    model = SentenceTransformer(str(tiny_bert(tmp_path, layers=4)))
    train_only(model, which)
    assert frozen_below(model) == below


def test_experts_in_the_last_layers_leave_those_below_frozen(tmp_path):
    model = SentenceTransformer(str(tiny_bert(tmp_path, layers=4)))
    upcycle(model, experts=2, layers="last-2")
    train_only(model, "moe")
    assert frozen_below(model) == 2
    train_only(model, "last-1")
    assert frozen_below(model) == 2  # the router below still belongs to the loss


@pytest.mark.parametrize("moe", [None, MoEConfig(experts=2, layers="last-2")])
def test_training_from_the_cache_gives_the_same_weights(training_data, tmp_path, caplog, moe):
    caplog.set_level(logging.INFO)
    found, through = {}, {}
    for use in ("off", "auto"):
        model = SentenceTransformer(str(tiny_bert(tmp_path / use, layers=4)))
        config = TrainConfig(
            train_only="moe" if moe else "last-2",
            learning_rate=0.01,
            epochs=2,
            evaluations=1,
            batch_size=8,
            precision="fp32",
            prefix_cache=use,
        )
        if moe:
            upcycle(model, moe.layers, moe.site, moe.experts, seed=0)
        counted = Counted(model)
        train_model(model, training_data, None, config, tmp_path / use / "scratch", moe)
        found[use], through[use] = model.state_dict(), counted.texts
    assert "caching outputs of 2 frozen layers (of 4) in " in caplog.text
    assert through["auto"] == through["off"] / 2
    start = SentenceTransformer(str(tmp_path / "off" / "model")).state_dict()
    for name, value in found["off"].items():
        # A softmax ignores the bias of keys: its gradient is float noise, which Adam scales up.
        atol = 1e-3 if name.endswith("key.bias") else 1e-5
        assert torch.allclose(value, found["auto"][name], atol=atol), name
    assert any(
        not torch.allclose(value, found["off"][name], atol=1e-3) for name, value in start.items()
    )


def test_it_is_left_out_where_it_cannot_be_or_does_not_pay(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)

    def used(model, passes=2.0):
        with prefix_cache(model, TEXTS, passes, tmp_path / "cache"):
            return "forward" in vars(backbone(model))

    model = SentenceTransformer(str(tiny_bert(tmp_path / "plain", layers=4)))
    train_only(model, "last-2")
    assert not used(model), "its dropout is on"
    without_dropout(model)
    assert used(model)
    assert not used(model, passes=1)
    monkeypatch.setattr(prefix, "MAX_DISK_SHARE", 0.0)
    assert not used(model)
    assert "not caching outputs of 2 frozen layers (of 4): they would take" in caplog.text
    monkeypatch.undo()
    left = build(FAMILIES["Qwen3"], tmp_path / "left")
    train_only(left, "last-1")
    without_dropout(left)
    assert not used(left)


class Wide(torch.nn.Module):
    """A layer that hands on two things, as DeBERTa's do."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, hidden_states, *args, **kwargs):
        found = self.layer(hidden_states, *args, **kwargs)
        return (found, None)


class Narrow(Wide):
    def forward(self, hidden_states, *args, **kwargs):
        return self.layer(hidden_states[0], *args, **kwargs)


def test_layers_that_hand_on_more_run_as_ever(tiny_model, tmp_path):
    model = SentenceTransformer(str(tiny_model))
    without_dropout(model)
    expected = PackedEncoder(model).encode_passages(TEXTS)
    cache = PrefixCache(model, 1, tmp_path / "hidden", PLENTY)
    layers = backbone(model).encoder.layer
    layers[0], layers[1] = Wide(layers[0]), Narrow(layers[1])
    cache.layers = [layers[0]]
    with cache:
        for _ in range(2):
            assert np.array_equal(PackedEncoder(model).encode_passages(TEXTS), expected)
    assert cache.unusable
