"""Where an encoder's layers are: found by structure, so that any family of transformers works."""

from typing import Literal

from torch import nn

from whet.errors import ConfigError

Site = Literal["intermediate", "output"]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer's layers, lowest first: the longest list of modules of one class.

    Raises ConfigError when the model has no such list.
    """
    lists = [
        list(m)
        for m in model.modules()
        if isinstance(m, nn.ModuleList) and len({type(c) for c in m}) == 1
    ]
    if not lists:
        raise ConfigError(f"{type(model).__name__} has no transformer layers; use --train-only all")
    return max(lists, key=len)


def feed_forward(block: nn.Module, site: Site) -> dict[str, nn.Module]:
    """Dense layers of a block's feed-forward part, by their name in the block.

    They are the linear layers outside attention: the last of them is the `output`; those before it, which read the
    width that it writes, are the `intermediate` (arXiv 2412.17364): one in BERT, gate and up projection in Qwen.

    Raises ConfigError, naming the linear layers that there are, when a block is built otherwise.
    """
    linear = {name: layer for name, layer in block.named_modules() if _is_dense(layer)}
    attention = tuple(
        f"{name}." for name, part in block.named_modules() if "att" in type(part).__name__.lower()
    )
    found = {name: layer for name, layer in linear.items() if not name.startswith(attention)}
    *above, last = found or [""]
    if not above or any(found[name].in_features != found[last].out_features for name in above):
        raise ConfigError(
            f"{type(block).__name__}: no feed-forward layers of a known form (first layers that read the hidden width, "
            f"then one that writes it). Its linear layers are {sorted(linear) or 'none'}. Use --train-only all."
        )
    return {last: found[last]} if site == "output" else {name: found[name] for name in above}


def _is_dense(layer: nn.Module) -> bool:
    """A linear layer, or the experts in its place; by name, for a model on trust brings a class of its own."""
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "ExpertLinear"
