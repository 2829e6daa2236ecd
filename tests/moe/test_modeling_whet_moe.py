"""One expert layer against an oracle in float64: a loop over tokens and over each token's experts.

Proved: outputs and all gradients are the loop's, for both routers, any top_k, any padding, and
experts that nobody chose. The graph for export and the product for a GPU give the same, and
bfloat16 stays near. The paper's code (`reference` at top_k 1) gives its gate no gradient.
"""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from whet.moe import modeling_whet_moe
from whet.moe.modeling_whet_moe import ExpertLinear

CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # gate scores are float32 whatever comes in


def layer_of(
    seed,
    experts=3,
    top_k=1,
    *,
    wide=6,
    out=5,
    bias=True,
    router="learned",
    dtype=None,
):
    """An expert layer with random weights, biases and gates."""
    generator = torch.Generator().manual_seed(seed)
    layer = ExpertLinear(wide, out, bias, experts=experts, top_k=top_k, router=router)
    layer = layer.to(dtype or torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer


def input_of(seed, texts, tokens, wide=6, real=1.0, dtype=torch.float64):
    """Random token vectors (text, token, dim), and a mask.

    About this share of tokens is real, and one of each text at least.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    hidden = torch.randn(texts, tokens, wide, generator=generator, dtype=dtype)
    mask = torch.rand(texts, tokens, generator=generator) < real
    mask[torch.arange(texts), torch.randint(tokens, (texts,), generator=generator)] = True
    return hidden, mask.long()


def oracle(layer, hidden, mask):
    """What the layer says of itself, token by token and expert by expert."""
    rows = []
    for text, real in zip(hidden, mask.bool(), strict=True):
        for token, is_real in zip(text, real, strict=True):
            row = torch.zeros(layer.out_features, dtype=hidden.dtype)
            if is_real:
                score = layer.gate @ token
                chosen = score.argsort(descending=True)[: layer.top_k]
                for expert, weight in zip(chosen, score[chosen].softmax(0), strict=True):
                    found = layer.weight[expert] @ token
                    row = row + weight * (
                        found if layer.bias is None else found + layer.bias[expert]
                    )
                if layer.router == "learned":
                    first = score.softmax(0)[chosen[0]]
                    row = row * first / first.detach()
            rows.append(row)
    return torch.stack(rows).view(*hidden.shape[:2], -1)


def clear(layer, hidden, mask):
    """Whether no choice of this batch hangs on the last digits of float32."""
    score = hidden[mask.bool()] @ layer.gate.T
    return bool((score.detach().sort(dim=1).values.diff(dim=1) > 1e-4).all())


def learned(layer, hidden, forward, seed=7):
    """Output, and gradients of a random linear function of it: of the input, of every parameter."""
    hidden = hidden.clone().requires_grad_()
    layer.zero_grad(set_to_none=True)
    found = forward(hidden)
    generator = torch.Generator().manual_seed(seed)
    (
        found * torch.randn(found.shape, generator=generator, dtype=torch.float64).to(found)
    ).sum().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"output": found.detach(), "input": hidden.grad} | gradients


@settings(deadline=None)
@given(
    data=st.data(), seed=st.integers(0, 2**31), experts=st.integers(2, 5), wide=st.integers(1, 6)
)
def test_is_the_loop_forwards_and_backwards(data, seed, experts, wide):
    draw = data.draw
    router = draw(st.sampled_from(["learned", "reference"]))
    shape = {"wide": wide, "out": draw(st.integers(1, 6)), "bias": draw(st.booleans())}
    layer = layer_of(seed, experts, draw(st.integers(1, experts)), router=router, **shape)
    hidden, mask = input_of(
        seed,
        draw(st.integers(1, 4)),
        draw(st.integers(1, 7)),
        wide,
        real=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )
    assume(clear(layer, hidden, mask))
    layer.routing.mask = mask
    found = learned(layer, hidden, layer)
    torch.testing.assert_close(
        found, learned(layer, hidden, lambda h: oracle(layer, h, mask)), **CLOSE
    )
    padding = mask == 0
    assert not found["output"][padding].any()
    assert not found["input"][padding].any()


@pytest.mark.parametrize("top_k", [1, 2])
def test_one_real_token_a_text_and_experts_that_nobody_chose(top_k):
    layer = layer_of(3, experts=4, top_k=top_k)
    hidden, mask = input_of(3, texts=5, tokens=6, real=0.0)
    assert mask.sum(dim=1).tolist() == [1] * 5
    with torch.no_grad():
        hidden[..., 0] = hidden[..., 0].abs() + 1
        layer.gate[2:, 0] -= 50  # the last two experts score far below the others
    layer.routing.mask = mask
    found = learned(layer, hidden, layer)
    torch.testing.assert_close(
        found, learned(layer, hidden, lambda h: oracle(layer, h, mask)), **CLOSE
    )
    assert not found["weight"][2:].any()
    assert not found["bias"][2:].any()
    assert found["weight"][:top_k].any()


@pytest.mark.parametrize("shape", [(7, 6), (2, 7, 6), (2, 3, 7, 6), (0, 6)])
def test_without_a_mask_every_token_is_real_in_any_shape(shape):
    layer = layer_of(0, top_k=2)
    hidden = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    flat = hidden.reshape(1, -1, 6)
    found = layer(hidden)
    assert found.shape == (*shape[:-1], 5)
    if len(hidden):
        torch.testing.assert_close(
            found.view(1, -1, 5), oracle(layer, flat, torch.ones(flat.shape[:2])), **CLOSE
        )


def test_a_mask_of_another_shape_is_not_taken_for_this_input():
    """Flattened texts have no padding; the mask of an earlier padded batch must not hide them."""
    layer = layer_of(0)
    hidden, _ = input_of(0, texts=1, tokens=8)
    layer.routing.mask = torch.zeros(2, 4, dtype=torch.long)
    torch.testing.assert_close(layer(hidden), oracle(layer, hidden, torch.ones(1, 8)), **CLOSE)


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_paper_s_gate_learns_only_when_several_experts_share_a_token(top_k):
    """The paper's code takes the softmax over the chosen scores.

    Over one score it is 1 whatever the score, so the gate's gradient is exactly 0. That is what
    `reference` is for, and `learned` mends it.
    """
    hidden, mask = input_of(1, texts=4, tokens=6, real=0.5)
    found = {}
    for router in ("reference", "learned"):
        layer = layer_of(1, top_k=top_k, router=router)
        layer.routing.mask = mask
        found[router] = learned(layer, hidden, layer)
    assert torch.equal(found["reference"]["output"], found["learned"]["output"])
    assert bool(found["reference"]["gate"].any()) == (top_k > 1)
    assert found["learned"]["gate"].any(dim=1).all()


@pytest.mark.parametrize("router", ["learned", "reference"])
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_graph_for_export_gives_the_same(monkeypatch, router, top_k):
    """But for padding: a graph of fixed shape runs it through experts too, and nobody reads it."""
    layer = layer_of(2, top_k=top_k, router=router)
    hidden, mask = input_of(2, texts=4, tokens=6, real=0.6)
    for layer.routing.mask in (None, mask):
        expected = layer(hidden)
        with monkeypatch.context() as patched:
            patched.setattr(torch.compiler, "is_exporting", lambda: True)
            patched.setattr(layer, "_grouped", None)
            found = layer(hidden)
        real = slice(None) if layer.routing.mask is None else mask.bool()
        torch.testing.assert_close(found[real], expected[real], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_product_for_a_gpu_gives_the_same(top_k, monkeypatch):
    layer = layer_of(4, experts=3, top_k=top_k, wide=8, out=16, dtype=torch.float32)
    hidden, mask = input_of(4, texts=4, tokens=6, wide=8, real=0.6, dtype=torch.float32)
    layer.routing.mask = mask
    expected = learned(layer, hidden, layer)
    monkeypatch.setattr(modeling_whet_moe._OneByOne, "apply", modeling_whet_moe._one_kernel)
    torch.testing.assert_close(learned(layer, hidden, layer), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("router", ["learned", "reference"])
def test_bfloat16_stays_near(router, top_k):
    layer = layer_of(5, experts=4, top_k=top_k, wide=64, out=32, router=router, dtype=torch.float32)
    hidden, mask = input_of(5, texts=4, tokens=12, wide=64, real=0.7, dtype=torch.float32)
    layer.routing.mask = mask
    scored = []
    layer.routing.listener = lambda routed: scored.append(routed.logits)
    exact = learned(layer, hidden, layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = learned(layer, hidden, layer)
    assert rounded["output"].dtype == torch.bfloat16
    assert rounded["gate"].dtype == torch.float32
    assert torch.equal(*scored), (
        "rounding reached the gate, where it would move tokens to other experts"
    )
    for name, value in exact.items():
        assert (rounded[name].float() - value).abs().max() <= 0.03 * value.abs().max(), name
    assert not torch.equal(rounded["output"].float(), exact["output"])


def test_a_listener_hears_scores_choices_and_padding():
    layer = layer_of(6, experts=4, top_k=2)
    hidden, mask = input_of(6, texts=3, tokens=5, real=0.5)
    heard = []
    layer.routing.mask, layer.routing.listener = mask, heard.append
    layer(hidden)
    (routed,) = heard
    assert routed.layer is layer
    torch.testing.assert_close(
        routed.logits.double(), hidden.view(-1, 6) @ layer.gate.T, rtol=1e-5, atol=1e-5
    )
    assert torch.equal(routed.chosen, routed.logits.argsort(dim=1, descending=True)[:, :2])
    assert torch.equal(routed.real, mask.flatten() > 0)
