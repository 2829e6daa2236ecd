"""Who uses which expert, over some texts."""

import pytest
import torch

from architectures import bert_mean, build
from whet.moe import upcycle
from whet.moe.upcycle import backbone, expert_layers
from whet.moe.usage import expert_use, starving, typical
from whet.records import LayerUse

TEXTS = ["bade bafi bago", "balu bade", "bago bafi balu bade bafi", "bafi"] * 15


@pytest.fixture
def model(tmp_path):
    return upcycle(build(bert_mean, tmp_path), experts=3)


def test_use_is_shares_entropy_and_tokens(model):
    used = expert_use(model, TEXTS)
    assert [layer.layer for layer in used] == list(expert_layers(backbone(model)))
    for layer in used:
        assert sum(layer.share) == pytest.approx(1)
        assert 0 <= layer.entropy <= 1
        assert len(layer.tokens) == len(layer.share) == 3


def test_typical_tokens_are_those_that_an_expert_has_for_itself():
    tokens = torch.tensor([5] * 20 + [6] * 20 + [7] * 40)
    expert = torch.tensor([0] * 20 + [1] * 20 + [0, 1] * 20)
    assert typical(tokens, expert, 2) == [[5], [6]]


def test_a_starving_expert_is_named_with_a_cure():
    (line,) = starving(
        [
            LayerUse("layer.1", (0.97, 0.03), 0.1, ((), ())),
            LayerUse("layer.2", (0.6, 0.4), 0.9, ((), ())),
        ]
    )
    assert "layer.1: expert 1 gets 3.0%" in line
    assert "balance_weight" in line
