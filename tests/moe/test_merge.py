"""Merging: a plain model again.

It is exact where the experts are alike, and nearer by regression than by average where not.
"""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from architectures import bert_mean, build, modernbert, qwen3
from whet.errors import ConfigError
from whet.moe import upcycle
from whet.moe.merge import merge
from whet.moe.upcycle import backbone, expert_layers

TEXTS = [
    "bade bafi bago",
    "balu bade",
    "bago bago bago bafi balu bade bafi",
    "bafi",
    "bade bago balu",
    "balu balu",
] * 8


@pytest.mark.parametrize("how", ["average", "regression"])
@pytest.mark.parametrize("make", [bert_mean, modernbert, qwen3])
def test_experts_that_are_alike_merge_into_their_parent(make, how, tmp_path):
    model = build(make, tmp_path / "made")
    plain, before = type(backbone(model)), model.encode(TEXTS)
    merge(upcycle(model), TEXTS, how)
    assert type(backbone(model)) is plain
    assert not expert_layers(backbone(model))
    np.testing.assert_allclose(model.encode(TEXTS), before, atol=1e-4)
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    assert not list((tmp_path / "saved").glob("*.py"))
    assert "whet" not in (tmp_path / "saved" / "config.json").read_text()
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), before, atol=1e-4)


def test_regression_comes_nearer_to_the_experts_than_the_average(tmp_path):
    def apart():
        model = upcycle(build(bert_mean, tmp_path / "made"))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for layer in expert_layers(backbone(model)).values():
                layer.weight += 0.2 * torch.randn(layer.weight.shape, generator=generator)
        return model

    expected = apart().encode(TEXTS)
    far = {
        how: np.abs(merge(apart(), TEXTS, how).encode(TEXTS) - expected).mean()
        for how in ("average", "regression")
    }
    assert 0 < far["regression"] < 0.9 * far["average"]


def test_a_merged_model_that_was_loaded_leaves_nothing_behind(tmp_path):
    upcycle(build(bert_mean, tmp_path / "made")).save_pretrained(
        str(tmp_path / "moe"), create_model_card=False
    )
    model = merge(SentenceTransformer(str(tmp_path / "moe"), device="cpu"), TEXTS)
    model.save_pretrained(str(tmp_path / "plain"), create_model_card=False)
    assert "whet" not in (tmp_path / "plain" / "config.json").read_text()
    assert '"model_type": "bert"' in (tmp_path / "plain" / "config.json").read_text()


def test_what_cannot_be_merged_is_refused(tmp_path):
    model = build(bert_mean, tmp_path)
    with pytest.raises(ConfigError, match="no experts"):
        merge(model, TEXTS)
    with pytest.raises(ConfigError, match="some texts"):
        merge(upcycle(model), [])
