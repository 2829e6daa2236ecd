"""Losses that keep every expert in use and the gates' scores small, and a record of routes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from whet.moe.modeling_whet_moe import Routed
from whet.moe.upcycle import backbone, expert_layers


class LayerRoutes(NamedTuple):
    """Where one layer sent real tokens: the gate's scores, and the experts chosen, best first."""

    logits: Float[Tensor, "token expert"]
    chosen: Int[Tensor, "token choice"]


@contextmanager
def routes(model: nn.Module) -> Iterator[list[Routed]]:
    """Collect where the tokens of every forward pass within go, layer by layer."""
    routing = backbone(model).routing
    collected: list[Routed] = []
    listener_before = routing.listener
    routing.listener = collected.append
    try:
        yield collected
    finally:
        routing.listener = listener_before


def by_layer(collected: Sequence[Routed]) -> list[LayerRoutes]:
    """The routes of all real tokens over the passes, for each layer in order.

    Padding is left out.
    """
    passes_of: dict[int, list[Routed]] = {}
    for routed in collected:
        passes_of.setdefault(id(routed.layer), []).append(routed)
    layers = []
    for passes in passes_of.values():
        logits = torch.cat([_of_real(routed.logits, routed) for routed in passes])
        chosen = torch.cat([_of_real(routed.chosen, routed) for routed in passes])
        layers.append(LayerRoutes(logits, chosen))
    return layers


def _of_real(values: Tensor, routed: Routed) -> Tensor:
    """The rows of real tokens."""
    return values if routed.real is None else values[routed.real]


def shares(
    logits: Float[Tensor, "token expert"], chosen: Int[Tensor, "token choice"]
) -> Float[Tensor, " expert"]:
    """Share of the choices that went to each expert."""
    expert_count = logits.shape[1]
    return one_hot(chosen, expert_count).float().mean(dim=(0, 1))


def balance(
    logits: Float[Tensor, "token expert"], chosen: Int[Tensor, "token choice"]
) -> Float[Tensor, ""]:
    """Load-balancing loss: N · Σ_e share_e · mean probability_e, over N experts.

    1 where all experts are used alike, N where one takes all. Source: Switch Transformers (arXiv
    2101.03961, eq. 4).
    """
    expert_count = logits.shape[1]
    probability = logits.softmax(dim=1).mean(dim=0)
    return expert_count * (shares(logits, chosen) * probability).sum()


def z_loss(logits: Float[Tensor, "token expert"]) -> Float[Tensor, ""]:
    """Router z-loss (ST-MoE, arXiv 2202.08906, eq. 5): mean square of the log-sum-exp."""
    return logits.logsumexp(dim=1).square().mean()


class RoutedLoss(nn.Module):
    """Any sentence-transformers loss, and beside it a model's balance and z losses.

    They are named parts, means over the expert layers, over all tokens that the wrapped loss
    embeds, whatever its chunks. Losses that embed without gradients first (`Cached…`) are not
    supported: their gates would get no gradient.

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
        self.balance_weight = balance_weight
        self.z_weight = z_weight
        self.token_counts = {
            name: torch.zeros(layer.experts)
            for name, layer in expert_layers(backbone(model)).items()
        }

    def forward(self, features: Sequence[Any], labels: Any = None) -> Mapping[str, Tensor]:
        """Named, weighted parts of the loss. The trainer adds them up and logs each."""
        with routes(self.model) as collected:
            loss = self.loss(features, labels)
        parts = dict(loss) if isinstance(loss, Mapping) else {"task": loss}
        layers = by_layer(collected)
        for counts, layer in zip(self.token_counts.values(), layers, strict=True):
            counts += len(layer.logits) * shares(*layer).cpu()
        balances = torch.stack([balance(*layer) for layer in layers])
        z_losses = torch.stack([z_loss(layer.logits) for layer in layers])
        parts["balance"] = self.balance_weight * balances.mean()
        parts["z"] = self.z_weight * z_losses.mean()
        return parts

    def use(self) -> dict[str, float]:
        """Share of the tokens since the last call by layer and expert, as numbers for a log."""
        numbers = {}
        for name, counts in self.token_counts.items():
            for expert, share in enumerate(counts / counts.sum().clamp(min=1)):
                numbers[f"share/{name}/{expert}"] = float(share)
            counts.zero_()
        return numbers

    def get_config_dict(self) -> dict[str, Any]:
        """Settings for the model card."""
        settings: dict[str, Any] = getattr(self.loss, "get_config_dict", dict)()
        settings["balance_weight"] = self.balance_weight
        settings["z_weight"] = self.z_weight
        return settings
