"""Freezing, on random models of six families: the right parameters train, and dropout is off."""

import pytest
import torch
import transformers
from torch import nn

from whet.encoder.layers import blocks
from whet.errors import ConfigError
from whet.train.freeze import train_only, without_dropout

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
OFTEN = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
FAMILIES = {  # configuration class, its settings, and what the up-projections of the FFN are called
    "Bert": (SMALL | OFTEN, ["intermediate.dense"]),
    "XLMRoberta": (SMALL | OFTEN, ["intermediate.dense"]),
    "MPNet": (SMALL | OFTEN, ["intermediate.dense"]),
    "DistilBert": (
        {"vocab_size": 50, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}
        | {"dropout": 0.5, "attention_dropout": 0.5},
        ["ffn.lin1"],
    ),
    "ModernBert": (
        SMALL
        | {"attention_dropout": 0.5, "mlp_dropout": 0.5, "embedding_dropout": 0.5}
        | {
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
        },
        ["mlp.Wi"],
    ),
    "Qwen3": (
        SMALL | {"num_key_value_heads": 2, "head_dim": 16, "attention_dropout": 0.5},
        ["mlp.gate_proj", "mlp.up_proj"],
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    """A random model in training mode, and the names of its up-projections."""
    settings, names = FAMILIES[request.param]
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(
        getattr(transformers, f"{request.param}Config")(**settings)
    )
    return model.train(), names


def trained_names(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameters_below(model, modules):
    wanted = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def forward(model):
    return model(input_ids=torch.arange(3, 23).view(2, 10)).last_hidden_state


def test_intermediate_means_the_up_projections_of_every_layer(family):
    model, names = family
    found = blocks(model)
    assert len(found) == 3
    trained, total = train_only(model, "intermediate")
    expected = parameters_below(
        model, [block.get_submodule(name) for block in found for name in names]
    )
    assert trained_names(model) == expected
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert (trained, total) == (sum(sizes[name] for name in expected), sum(sizes.values()))


def test_last_n_means_the_last_layers_whole(family):
    model, _ = family
    train_only(model, "last-2")
    assert trained_names(model) == parameters_below(model, blocks(model)[1:])


def test_all_undoes_an_earlier_choice(family):
    model, _ = family
    train_only(model, "last-1")
    trained, total = train_only(model, "all")
    assert trained == total
    assert trained_names(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_without_dropout_two_passes_in_training_mode_agree(family, attention):
    model, _ = family
    model.set_attn_implementation(attention)
    assert not torch.equal(forward(model), forward(model)), "the model has no dropout to switch off"
    without_dropout(model)
    assert model.training
    assert torch.equal(forward(model), forward(model))


def test_a_step_changes_what_trains_and_nothing_else(family):
    model, _ = family
    train_only(model, "intermediate")
    before = {name: value.clone() for name, value in model.named_parameters()}
    forward(model).square().sum().backward()
    torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1
    ).step()
    changed = {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == trained_names(model)


def test_a_model_without_layers_is_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"Sequential has no transformer layers; use --train-only all"
    ):
        train_only(nn.Sequential(nn.Linear(2, 2)), "intermediate")


def test_layers_without_up_projection_are_shown():
    model = nn.Module()
    model.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 2)) for _ in range(2)])
    with pytest.raises(
        ConfigError, match=r"no feed-forward layers of a known form .* linear layers are \['0'\]"
    ):
        train_only(model, "intermediate")
