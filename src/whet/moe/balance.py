"""Losses that keep every expert in use and the gates' scores small, and a record of where tokens go."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from whet.moe.modeling_whet_moe import Routed
from whet.moe.upcycle import backbone, expert_layers


@contextmanager
def routes(model: nn.Module) -> Iterator[list[Routed]]:
    """Collect where the tokens of every forward pass within go, layer by layer."""
    routing = backbone(model).routing
    seen: list[Routed] = []
    before, routing.listener = routing.listener, seen.append
    try:
        yield seen
    finally:
        routing.listener = before


def by_layer(
    seen: Sequence[Routed],
) -> list[tuple[Float[Tensor, "token expert"], Int[Tensor, "token choice"]]]:
    """For each layer, in order, the scores and choices of all real tokens over the passes seen; padding is left out."""
    parts: dict[int, list[Routed]] = {}
    for routed in seen:
        parts.setdefault(id(routed.layer), []).append(routed)
    return [
        (
            torch.cat(
                [part.logits if part.real is None else part.logits[part.real] for part in passes]
            ),
            torch.cat(
                [part.chosen if part.real is None else part.chosen[part.real] for part in passes]
            ),
        )
        for passes in parts.values()
    ]


def shares(
    logits: Float[Tensor, "token expert"], chosen: Int[Tensor, "token choice"]
) -> Float[Tensor, " expert"]:
    """Share of the choices that went to each expert."""
    return one_hot(chosen, logits.shape[1]).float().mean(dim=(0, 1))


def balance(
    logits: Float[Tensor, "token expert"], chosen: Int[Tensor, "token choice"]
) -> Float[Tensor, ""]:
    """Load-balancing loss (Switch Transformers, arXiv 2101.03961, eq. 4): N · Σ_e share_e · mean probability_e.

    1 where all experts are used alike, N where one takes all.
    """
    return logits.shape[1] * (shares(logits, chosen) * logits.softmax(dim=1).mean(dim=0)).sum()


def z_loss(logits: Float[Tensor, "token expert"]) -> Float[Tensor, ""]:
    """Router z-loss (ST-MoE, arXiv 2202.08906, eq. 5): mean square of the scores' log-sum-exp."""
    return logits.logsumexp(dim=1).square().mean()


class RoutedLoss(nn.Module):
    """Any sentence-transformers loss, with the balance and z losses of a model's experts as named parts beside it.

    The losses are means over the expert layers, over all tokens that the wrapped loss embeds, whatever its chunks.
    Losses that embed without gradients first (`Cached…`) are not supported: their gates would get no gradient.

    Args:
        model: the model to train, with experts.
        loss: a loss over it.
        balance_weight: of the load-balancing loss.
        z_weight: of the router z-loss.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        balance_weight: float = 0.01,
        z_weight: float = 0.001,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.weights = {"balance": balance_weight, "z": z_weight}
        self.used = {
            name: torch.zeros(layer.experts)
            for name, layer in expert_layers(backbone(model)).items()
        }

    def forward(self, features: Sequence[Any], labels: Any = None) -> Mapping[str, Tensor]:
        """Named, weighted parts; the trainer adds them up and logs each."""
        with routes(self.model) as seen:
            found = self.loss(features, labels)
        parts = dict(found) if isinstance(found, Mapping) else {"task": found}
        layers = by_layer(seen)
        for used, layer in zip(self.used.values(), layers, strict=True):
            used += len(layer[0]) * shares(*layer).cpu()
        parts["balance"] = (
            self.weights["balance"] * torch.stack([balance(*layer) for layer in layers]).mean()
        )
        parts["z"] = (
            self.weights["z"] * torch.stack([z_loss(logits) for logits, _ in layers]).mean()
        )
        return parts

    def use(self) -> dict[str, float]:
        """Share of the tokens seen since the last call by layer and expert, as numbers for a log; starts anew."""
        found = {
            f"share/{name}/{expert}": float(share)
            for name, used in self.used.items()
            for expert, share in enumerate(used / used.sum().clamp(min=1))
        }
        for used in self.used.values():
            used.zero_()
        return found

    def get_config_dict(self) -> dict[str, Any]:
        """Settings for the model card."""
        own = {f"{name}_weight": weight for name, weight in self.weights.items()}
        settings: dict[str, Any] = getattr(self.loss, "get_config_dict", dict)()
        return settings | own
