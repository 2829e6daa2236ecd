"""Which parameters train."""

from collections.abc import Iterable

from torch import nn

from whet.encoder.layers import blocks, feed_forward
from whet.errors import ConfigError
from whet.moe.upcycle import expert_layers


def train_only(model: nn.Module, which: str) -> tuple[int, int]:
    """Freeze everything but the parts that `which` names, joined by +; returns (trained, total) parameter counts.

    Parts: `all`, the `intermediate` or `output` layers of the feed-forward parts, the experts and gates (`moe`), layer
    norms (`norms`), the `last-N` layers. Raises ConfigError when a part is not there, naming the layers that are.
    """
    chosen = [module for part in which.split("+") for module in modules_of(model, part)]
    model.requires_grad_(False)
    for module in chosen:
        module.requires_grad_(True)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


def modules_of(model: nn.Module, part: str) -> Iterable[nn.Module]:
    """The modules that one part of `train_only` names; raises ConfigError when the model has none such."""
    if part == "all":
        return [model]
    if part == "moe":
        if not (found := expert_layers(model)):
            raise ConfigError(
                "train_only is moe, but the model has no experts: give --moe N as well"
            )
        return found.values()
    if part == "norms":
        return [module for module in model.modules() if "norm" in type(module).__name__.lower()]
    if part in ("intermediate", "output"):
        return [layer for block in blocks(model) for layer in feed_forward(block, part).values()]  # type: ignore[arg-type]
    return blocks(model)[-int(part.removeprefix("last-")) :]


def without_dropout(model: nn.Module) -> None:
    """Set every dropout probability to 0: nn.Dropout modules and the numbers that attention layers keep."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
