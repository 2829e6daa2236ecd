"""Merge a model's experts into dense layers, so that any server for the plain model runs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whet.errors import ConfigError
from whet.moe.modeling_whet_moe import ExpertLinear
from whet.moe.upcycle import backbone, expert_layers
from whet.moe.usage import expert_use, passes

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

How = Literal["average", "regression"]

RIDGE = 1e-3  # pull towards the average, in units of the inputs' mean square
MOE_CONFIG_KEYS = ("moe", "auto_map", "parent_model_type")


def merge(
    model: "SentenceTransformer", texts: Sequence[str], how: How = "average"
) -> "SentenceTransformer":
    """Make each layer of experts one linear layer, in place.

    `average` weighs the experts by the share of the texts' tokens that they take. `regression`
    takes the weights whose outputs come nearest to the experts' on the layer's own inputs (least
    squares, held near the average). `texts` are passages of the kind that the model is for; some
    hundreds are enough.

    Returns the model, of its parent's plain class. Raises ConfigError when the model has no
    experts or there are no texts.
    """
    encoder = backbone(model)
    layers = expert_layers(encoder)
    if not texts:
        raise ConfigError("merging needs some texts to look at")
    if not layers:
        raise ConfigError("nothing to merge: the model has no experts")
    merged = {}
    for use in expert_use(model, texts):
        layer = layers[use.layer]
        merged[use.layer] = _average(layer, torch.tensor(use.share))
    if how == "regression":
        with _moments(layers) as moments:
            for _ in passes(model, texts):
                pass  # the moments are summed up on the way
        for name, layer_moments in moments.items():
            layer_moments.fit(merged[name])
    for name, dense in merged.items():
        encoder.set_submodule(name, dense)
    _make_plain(encoder)
    return model


def _average(layer: ExpertLinear, share: Float[Tensor, " expert"]) -> nn.Linear:
    """The experts' mean, weighted by use."""
    has_bias = layer.bias is not None
    dense = nn.Linear(layer.in_features, layer.out_features, bias=has_bias)
    weight = share.to(layer.weight)
    with torch.no_grad():
        dense.weight.copy_(torch.einsum("e,eoi->oi", weight, layer.weight))
        if layer.bias is not None:
            dense.bias.copy_(weight @ layer.bias)
    return dense.to(layer.weight)


class _Moments:
    """A layer's sums over tokens: input × input (`square`) and input × output (`cross`).

    The input has a 1 behind it, for the bias: x is (token, in + 1).
    """

    def __init__(self, layer: ExpertLinear) -> None:
        size = layer.in_features + 1
        self.square = torch.zeros(size, size, dtype=torch.float64)
        self.cross = torch.zeros(size, layer.out_features, dtype=torch.float64)

    def add(self, layer: ExpertLinear, args: tuple[Tensor], output: Tensor) -> None:
        """Add one forward pass, as a forward hook. Padding is left out."""
        inputs = args[0].reshape(-1, layer.in_features)
        outputs = output.reshape(-1, layer.out_features)
        real = layer.routing.real(output.shape[:-1])
        if real is not None:
            inputs = inputs[real]
            outputs = outputs[real]
        x = inputs.double().cpu()
        ones = x.new_ones(len(x), 1)
        x = torch.cat([x, ones], dim=1)
        y = outputs.double().cpu()
        self.square += x.T @ x
        self.cross += x.T @ y

    def fit(self, dense: nn.Linear) -> None:
        """Move a linear layer to the least-squares solution of W x + b ≈ output.

        Ridge regression, held near the layer's present weights V, with V transposed, (in, out):

            V + (XᵀX + r·I)⁻¹ · (XᵀY − XᵀX·V)
        """
        has_bias = dense.bias is not None
        bias = dense.bias if has_bias else torch.zeros(dense.out_features)
        weight_and_bias = torch.cat([dense.weight, bias.unsqueeze(1)], dim=1)
        start = weight_and_bias.detach().double().cpu().T  # (in + 1, out)
        size = len(start) if has_bias else len(start) - 1
        start = start[:size]
        square = self.square[:size, :size]
        strength = RIDGE * square.diagonal().mean()
        ridge = strength * torch.eye(size, dtype=square.dtype)
        residual = self.cross[:size] - square @ start
        change = torch.linalg.solve(square + ridge, residual)
        solution = start + change
        with torch.no_grad():
            dense.weight.copy_(solution[: dense.in_features].T)
            if has_bias:
                dense.bias.copy_(solution[-1])


@contextmanager
def _moments(layers: dict[str, ExpertLinear]) -> Iterator[dict[str, _Moments]]:
    """Sum up the moments of every forward pass within, by layer."""
    moments = {}
    hooks = []
    for name, layer in layers.items():
        moments[name] = _Moments(layer)
        hooks.append(layer.register_forward_hook(moments[name].add))
    try:
        yield moments
    finally:
        for hook in hooks:
            hook.remove()


def _make_plain(encoder: Any) -> None:
    """Give a model without experts its parent's class and config back."""
    del encoder.routing
    for key in MOE_CONFIG_KEYS:
        encoder.config.__dict__.pop(key, None)
    encoder.config.__class__ = type(encoder.config).__bases__[-1]
    encoder.__class__ = type(encoder).__bases__[-1]
