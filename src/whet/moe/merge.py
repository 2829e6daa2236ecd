"""Melt the experts of a model into one dense layer again, so that any server for the plain architecture runs it."""

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


def merge(
    model: "SentenceTransformer", texts: Sequence[str], how: How = "average"
) -> "SentenceTransformer":
    """Make each layer of experts one linear layer, in place; returns the model, of its parent's plain class.

    `average` weighs the experts by the share of the texts' tokens that they take. `regression` finds the weights whose
    outputs on the layer's own inputs, those of the texts, come nearest to the experts' (least squares, held near the
    average). `texts` are passages of the kind that the model is for; some hundreds are enough.

    Raises ConfigError when the model has no experts or there are no texts.
    """
    encoder = backbone(model)
    layers = expert_layers(encoder)
    if not layers or not texts:
        raise ConfigError(
            "nothing to merge: the model has no experts"
            if texts
            else "merging needs some texts to look at"
        )
    merged = {
        used.layer: _average(layers[used.layer], torch.tensor(used.share))
        for used in expert_use(model, texts)
    }
    if how == "regression":
        with _moments(layers) as moments:
            for _ in passes(model, texts):
                pass
        for name, found in moments.items():
            found.fit(merged[name])
    for name, dense in merged.items():
        encoder.set_submodule(name, dense)
    _make_plain(encoder)
    return model


def _average(layer: ExpertLinear, share: Float[Tensor, " expert"]) -> nn.Linear:
    """The experts' mean, weighted by use."""
    dense = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    weight = share.to(layer.weight)
    with torch.no_grad():
        dense.weight.copy_(torch.einsum("e,eoi->oi", weight, layer.weight))
        if layer.bias is not None:
            dense.bias.copy_(weight @ layer.bias)
    return dense.to(layer.weight)


class _Moments:
    """Sums over a layer's tokens of input × input and input × output, the input with a 1 behind it."""

    def __init__(self, layer: ExpertLinear) -> None:
        size = layer.in_features + 1
        self.square = torch.zeros(size, size, dtype=torch.float64)
        self.cross = torch.zeros(size, layer.out_features, dtype=torch.float64)

    def see(self, layer: ExpertLinear, args: tuple[Tensor], output: Tensor) -> None:
        """Take in one forward pass; padding is left out."""
        real = layer.routing.real(output.shape[:-1])
        kept = slice(None) if real is None else real
        x = args[0].reshape(-1, layer.in_features)[kept].double().cpu()
        x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
        self.square += x.T @ x
        self.cross += x.T @ output.reshape(-1, layer.out_features)[kept].double().cpu()

    def fit(self, dense: nn.Linear) -> None:
        """Move a linear layer to the least-squares solution of W x + b ≈ output, held near where it is."""
        bias = dense.bias if dense.bias is not None else torch.zeros(dense.out_features)
        start = torch.cat([dense.weight, bias.unsqueeze(1)], dim=1).detach().double().cpu().T
        used = len(start) if dense.bias is not None else len(start) - 1
        square, cross = self.square[:used, :used], self.cross[:used]
        held = square + RIDGE * square.diagonal().mean() * torch.eye(used, dtype=square.dtype)
        found = start[:used] + torch.linalg.solve(held, cross - square @ start[:used])
        with torch.no_grad():
            dense.weight.copy_(found[: dense.in_features].T)
            if dense.bias is not None:
                dense.bias.copy_(found[-1])


@contextmanager
def _moments(layers: dict[str, ExpertLinear]) -> Iterator[dict[str, _Moments]]:
    found = {name: _Moments(layer) for name, layer in layers.items()}
    hooks = [layer.register_forward_hook(found[name].see) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _make_plain(encoder: Any) -> None:
    """Give a model without experts its parent's class and config back."""
    del encoder.routing
    for name in ("moe", "auto_map", "parent_model_type"):
        encoder.config.__dict__.pop(name, None)
    encoder.config.__class__ = type(encoder.config).__bases__[-1]
    encoder.__class__ = type(encoder).__bases__[-1]
