"""Upcycling, on random models of eight families: the embeddings stay, and everything new learns.

Proved for every family: whatever the number of experts, top_k, router and site, a fresh mixture
gives its parent's vectors, padding included. With the `learned` router each expert and each gate
gets a gradient from the first step. With the paper's (`reference`) at top_k 1 the gates get none.

And: which layers are taken, also where all widths are the same; the same seed gives the same
gates; what cannot be done is refused and leaves the model as it was.
"""

import copy
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from torch.nn import functional
from transformers import MixtralConfig, MixtralModel

from architectures import FAMILIES, SIZE, bert_mean, build, static, transformer, two_towers
from tiny import WORDS
from whet.encoder.tokens import tokenise
from whet.errors import ConfigError
from whet.moe import upcycle
from whet.moe.upcycle import backbone, expert_layers

SITES = ("intermediate", "output")
UP, DOWN = ["intermediate.dense"], ["output.dense"]
# Where a family's layers are, and the names of the dense layers of their feed-forward parts.
LAYERS = {
    "Bert": ("encoder.layer", UP, DOWN),
    "Roberta": ("encoder.layer", UP, DOWN),
    "XLMRoberta": ("encoder.layer", UP, DOWN),
    "MPNet": ("encoder.layer", UP, DOWN),
    "DistilBert": ("transformer.layer", ["ffn.lin1"], ["ffn.lin2"]),
    "ModernBert": ("layers", ["mlp.Wi"], ["mlp.Wo"]),
    "Qwen3": ("layers", ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]),
    "Gemma3Text": ("layers", ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]),
}


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """Return a function from a family's name to a fresh dense model of it, without dropout."""

    @cache
    def made(name):
        return build(FAMILIES[name], tmp_path_factory.mktemp(name)).eval()

    return lambda name: copy.deepcopy(made(name))


def batch(model, count=24):
    """Features of texts of many lengths, padded on the side that the model wants."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, int(rng.integers(1, 20)))) for _ in range(count)]
    features = tokenise(model, texts, "document")
    assert features["attention_mask"].float().mean() < 0.6
    return features


def embeddings(model):
    return model(dict(batch(model)))["sentence_embedding"]


def task_loss(model):
    """In-batch negatives: every other text is the passage of the one before it."""
    vectors = functional.normalize(embeddings(model), dim=1)
    return functional.cross_entropy(
        20 * vectors[::2] @ vectors[1::2].T, torch.arange(len(vectors) // 2)
    )


def layers_of(model):
    return expert_layers(backbone(model))


def names(family, site, numbers=(0, 1)):
    where, up, down = LAYERS[family]
    return [
        f"{where}.{i}.{name}" for i in numbers for name in (up if site == "intermediate" else down)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_stay_what_they_were(parent, family):
    dense = parent(family)
    with torch.no_grad():
        expected = embeddings(dense)
        assert (expected - expected.mean(dim=0)).norm(dim=1).min() > 0.1, (
            "texts must differ, or this proves nothing"
        )
        numbers = ((2, 1), (2, 2), (3, 1), (3, 2))
        for site, router, (experts, top_k) in product(SITES, ("learned", "reference"), numbers):
            model = copy.deepcopy(dense)
            assert upcycle(model, "all", site, experts, top_k, router) is model
            assert list(layers_of(model)) == names(family, site)
            torch.testing.assert_close(embeddings(model), expected, rtol=0, atol=2e-6)


def least(model, names):
    """The smallest gradient norm of any expert's part of these parameters of the expert layers."""
    norms = {}
    for name, layer in layers_of(model).items():
        for what, parameter in layer.named_parameters():
            if what in names:
                norms[f"{name}.{what}"] = parameter.grad.flatten(1).norm(dim=1).min().item()
    return min((norm, name) for name, norm in norms.items())


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_expert_learns_from_the_first_step(parent, family, site):
    for experts, top_k in ((2, 1), (2, 2), (3, 2)):
        model = upcycle(parent(family), "all", site, experts, top_k)
        task_loss(model).backward()
        assert least(model, ("weight", "bias")) > (1e-3,)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_gate_learns_from_the_first_step(parent, family, site):
    """Also at top_k 2 of 2 experts, where all experts give the same."""
    for experts, top_k in ((2, 1), (2, 2), (3, 2)):
        model = upcycle(parent(family), "all", site, experts, top_k, "learned")
        task_loss(model).backward()
        if (family, site) == ("Gemma3Text", "output"):
            # Normalised right behind: its scale changes nothing (docs/MOE.md).
            assert least(model, ("gate",)) < (1e-5,)
        else:
            assert least(model, ("gate",)) > (1e-3,)


@pytest.mark.parametrize("family", ["Qwen3", "Gemma3Text"])
def test_gate_and_up_projection_route_alike(parent, family):
    """They are two halves of one expert: one gate chooses for both, in a copy too."""
    model = copy.deepcopy(upcycle(parent(family)))
    gates = [name for name, _ in backbone(model).named_parameters() if name.endswith(".gate")]
    assert gates == [f"layers.{number}.mlp.gate_proj.gate" for number in (0, 1)]
    gate, up = list(layers_of(model).values())[:2]
    assert up.leader[0] is gate
    routes = []
    gate.routing.listener = routes.append
    with torch.no_grad():
        gate.gate.add_(torch.randn(gate.gate.shape, generator=torch.Generator().manual_seed(1)))
        embeddings(model)
    assert all(
        torch.equal(one.chosen, other.chosen)
        for one, other in zip(routes[::2], routes[1::2], strict=True)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_paper_s_gates_get_no_gradient(parent, family):
    model = upcycle(parent(family), router="reference")
    task_loss(model).backward()
    for layer in layers_of(model).values():
        gate = layer.leader[0].gate
        assert gate.grad is not None
        assert not gate.grad.any()
        assert layer.weight.grad.flatten(1).any(dim=1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_found_by_structure_and_not_by_width(tmp_path, family):
    """The reference looks for the numbers 1024 and 4096; here all widths are 32."""
    model = build(lambda folder: FAMILIES[family](folder, intermediate_size=32), tmp_path).eval()
    with torch.no_grad():
        expected = embeddings(model)
        for site in SITES:
            mixture = upcycle(copy.deepcopy(model), site=site)
            assert list(layers_of(mixture)) == names(family, site)
            torch.testing.assert_close(embeddings(mixture), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        ("all", [0, 1, 2]),
        ("last-1", [2]),
        ("last-3", [0, 1, 2]),
        ([1], [1]),
        ((2, 0), [0, 2]),
        ([-1, 2, 0], [0, 2]),
    ],
)
def test_layers_are_chosen_by_number(tmp_path, layers, numbers):
    model = build(lambda folder: bert_mean(folder, layers=3), tmp_path)
    assert list(layers_of(upcycle(model, layers))) == names("Bert", "intermediate", numbers)


@pytest.fixture
def bert(parent):
    """A dense BERT; after the test it must be as it was."""
    model = parent("Bert")
    kind, before = (
        type(backbone(model)),
        {name: value.clone() for name, value in model.state_dict().items()},
    )
    yield model
    assert type(backbone(model)) is kind
    assert not hasattr(backbone(model).config, "moe")
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_goes_to_no_expert(parent, family):
    """However the model is called: by sentence-transformers, or as transformers' own."""
    model = upcycle(parent(family))
    features, heard = batch(model), []
    encoder = backbone(model)
    encoder.routing.listener = heard.append
    ids, mask = features["input_ids"], features["attention_mask"]
    for call in (
        lambda: model(dict(features)),
        lambda: encoder(ids, mask),
        lambda: encoder(input_ids=ids, attention_mask=mask),
    ):
        heard.clear()
        call()
        assert len(heard) == len(layers_of(model))
        for routed in heard:
            assert torch.equal(routed.real, mask.flatten() > 0)
    heard.clear()
    encoder(input_ids=ids)
    assert {routed.real for routed in heard} == {None}


@pytest.mark.parametrize(
    "layers", ["first-1", "last-0", "last-3", "last-", "last--1", "", "1", (), [2], [0, -3]]
)
def test_layers_that_are_not_there_are_refused(bert, layers):
    with pytest.raises(
        ConfigError, match=r"expected all, last-N with N up to 2, or numbers from 0 to 1"
    ):
        upcycle(bert, layers)


@pytest.mark.parametrize(("experts", "top_k"), [(1, 1), (0, 0), (2, 0), (2, 3)])
def test_numbers_that_make_no_mixture_are_refused(bert, experts, top_k):
    with pytest.raises(
        ConfigError, match=f"{experts} experts, {top_k} a token: expected at least 2, and 1 to that"
    ):
        upcycle(bert, experts=experts, top_k=top_k)


def test_a_mixture_is_not_made_twice(parent):
    model = upcycle(parent("Bert"), "last-1")
    with pytest.raises(ConfigError, match="has experts already"):
        upcycle(model, [0])
    assert list(layers_of(model)) == names("Bert", "intermediate", [1])


def test_a_model_built_otherwise_is_refused_with_its_linear_layers(tmp_path):
    """Mixtral's feed-forward parts are experts already, and hold no linear layer."""
    decoder = MixtralModel(
        MixtralConfig(**SIZE, num_key_value_heads=2, head_dim=8, num_local_experts=2)
    )
    model = SentenceTransformer(
        modules=[transformer(tmp_path, decoder, "$A"), Pooling(32), Normalize()], device="cpu"
    )
    linear = r"\['self_attn.k_proj', 'self_attn.o_proj', 'self_attn.q_proj', 'self_attn.v_proj'\]"
    with pytest.raises(
        ConfigError, match=f"no feed-forward layers of a known form .* linear layers are {linear}"
    ):
        upcycle(model)


def test_a_model_without_a_transformer_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has 0 transformers inside"):
        upcycle(build(static, tmp_path))


def test_of_two_towers_the_one_with_a_transformer_is_taken(tmp_path):
    model = build(two_towers, tmp_path)
    texts = [" ".join(WORDS[i : i + 9]) for i in range(5)]
    expected = [model.encode_query(texts), model.encode_document(texts)]
    upcycle(model)
    assert list(layers_of(model)) == names("MPNet", "intermediate")
    np.testing.assert_allclose(
        [model.encode_query(texts), model.encode_document(texts)], expected, rtol=0, atol=2e-6
    )


def test_the_same_seed_makes_the_same_gates(parent):
    def gates(seed):
        return torch.stack(
            [
                layer.gate.detach()
                for layer in layers_of(upcycle(parent("Bert"), seed=seed)).values()
            ]
        )

    first = gates(1)
    torch.manual_seed(12345)
    assert torch.equal(gates(1), first)
    assert not torch.equal(gates(2), first)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("kept", ["requires_grad", "training", "dtype"])
def test_a_mixture_is_no_less_than_its_parent(parent, kept):
    """In half precision, in training mode or partly frozen: what is not replaced stays as it is."""
    model = parent("Bert").train()
    if kept == "dtype":
        model.to(torch.bfloat16)
    model.requires_grad_(False)
    upcycle(model)
    for name, parameter in backbone(model).named_parameters():
        assert parameter.dtype == (torch.bfloat16 if kept == "dtype" else torch.float32)
        assert parameter.requires_grad == name.startswith(tuple(names("Bert", "intermediate")))
    assert all(module.training for module in model.modules())
