"""Which parameters train, and dropout."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from whet.encoder.layers import Site, blocks, feed_forward
from whet.errors import ConfigError
from whet.moe.upcycle import expert_layers


def train_only(model: nn.Module, which: str) -> tuple[int, int]:
    """Freeze everything but some parts; returns the number of trained and of all parameters.

    `which` names parts, joined by +: `all`, the `intermediate` or `output` layers of the
    feed-forward parts, the experts and gates (`moe`), the layer norms (`norms`), the `last-N`
    layers. Raises ConfigError when the model lacks a part, naming the layers that it has.
    """
    chosen: list[nn.Module] = []
    for part in which.split("+"):
        chosen += modules_of(model, part)
    model.requires_grad_(False)  # also what an earlier call has chosen
    for module in chosen:
        module.requires_grad_(True)

    trained = 0
    total = 0
    for parameter in model.parameters():
        total += parameter.numel()
        if parameter.requires_grad:
            trained += parameter.numel()
    return trained, total


def modules_of(model: nn.Module, part: str) -> Sequence[nn.Module]:
    """The modules of one part (see `train_only`); raises ConfigError when the model has none."""
    if part == "all":
        return [model]
    if part == "moe":
        layers = expert_layers(model)
        if not layers:
            raise ConfigError(
                "train_only is moe, but the model has no experts: give --moe N as well"
            )
        return list(layers.values())
    if part == "norms":
        return [module for module in model.modules() if _is_norm(module)]
    if part in ("intermediate", "output"):
        site = cast("Site", part)
        chosen: list[nn.Module] = []
        for block in blocks(model):
            chosen += feed_forward(block, site).values()
        return chosen
    count = int(part.removeprefix("last-"))
    return blocks(model)[-count:]


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def without_dropout(model: nn.Module) -> None:
    """Set every dropout probability to 0.

    They are in nn.Dropout modules, and in numbers that attention layers keep.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        # Attention layers without nn.Dropout pass a number to the attention function.
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
