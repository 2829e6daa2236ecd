"""Layers by structure, in families that name them otherwise."""

import pytest
import torch
from torch import nn

from architectures import FAMILIES, build, static
from whet.encoder.layers import blocks, feed_forward
from whet.errors import ConfigError
from whet.moe.upcycle import backbone


@pytest.mark.parametrize(
    ("family", "intermediate", "output"),
    [
        ("Bert", ["intermediate.dense"], ["output.dense"]),
        ("DistilBert", ["ffn.lin1"], ["ffn.lin2"]),
        ("ModernBert", ["mlp.Wi"], ["mlp.Wo"]),
        ("Qwen3", ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]),
    ],
)
def test_the_feed_forward_part_is_what_is_outside_attention(tmp_path, family, intermediate, output):
    lowest, highest = blocks(backbone(build(FAMILIES[family], tmp_path)))
    assert type(lowest) is type(highest)
    assert list(feed_forward(lowest, "intermediate")) == intermediate
    assert list(feed_forward(lowest, "output")) == output


def test_the_longest_list_of_one_class_is_taken():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    mixed = nn.ModuleList([*(nn.Linear(2, 2) for _ in range(4)), nn.Tanh()])
    short = nn.ModuleList([nn.Tanh(), nn.Tanh()])
    assert blocks(nn.ModuleList([short, layers, mixed, nn.Tanh()])) == list(layers)


def test_a_model_without_layers_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no transformer layers; use --train-only all"):
        blocks(build(static, tmp_path))


@pytest.mark.parametrize("layers", [[nn.Linear(4, 4)], [nn.Linear(3, 8), nn.Linear(8, 4)], []])
def test_a_block_of_another_form_is_refused_with_its_linear_layers(layers):
    names = [str(number) for number in range(len(layers))]
    with pytest.raises(ConfigError, match="no feed-forward layers of a known form") as caught:
        feed_forward(nn.Sequential(*layers), "output")
    assert f"Its linear layers are {names or 'none'}." in str(caught.value)


def test_experts_stand_for_the_layer_that_they_replace():
    class ExpertLinear(nn.Module):
        in_features, out_features = 4, 8

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return hidden

    block = nn.Sequential(ExpertLinear(), nn.Linear(8, 4))
    assert list(feed_forward(block, "intermediate")) == ["0"]
