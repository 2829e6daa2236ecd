"""Where an encoder's layers are: found by structure, so that any family of transformers works."""

from typing import Literal

from torch import nn

from whet.errors import ConfigError

Site = Literal["intermediate", "output"]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer's layers, lowest first: the longest list of modules of one class.

    Raises ConfigError when the model has no such list.
    """
    longest: list[nn.Module] = []
    for module in model.modules():
        if not isinstance(module, nn.ModuleList):
            continue
        classes = {type(child) for child in module}
        if len(classes) == 1 and len(module) > len(longest):
            longest = list(module)
    if not longest:
        raise ConfigError(f"{type(model).__name__} has no transformer layers; use --train-only all")
    return longest


def feed_forward(block: nn.Module, site: Site) -> dict[str, nn.Module]:
    """Dense layers of a block's feed-forward part, by their name in the block.

    They are the linear layers outside attention. The last of them is the `output`. Those before
    it, which read the width that it writes, are the `intermediate` (arXiv 2412.17364): one in
    BERT, gate and up projection in Qwen.

    Raises ConfigError, naming the linear layers that there are, when a block is built otherwise.
    """
    linear = {}
    attention = []
    for name, module in block.named_modules():
        if _is_dense(module):
            linear[name] = module
        if "att" in type(module).__name__.lower():
            attention.append(f"{name}.")
    outside_attention = [name for name in linear if not name.startswith(tuple(attention))]
    dense = {name: linear[name] for name in outside_attention}
    if not _is_known_form(list(dense.values())):
        raise ConfigError(
            f"{type(block).__name__}: no feed-forward layers of a known form (first layers that "
            "read the hidden width, then one that writes it). Its linear layers are "
            f"{sorted(linear) or 'none'}. Use --train-only all."
        )
    *_, last_name = dense
    output = dense.pop(last_name)
    return {last_name: output} if site == "output" else dense


def _is_known_form(layers: list[nn.Module]) -> bool:
    """Whether the last layer writes the width that each of the others reads."""
    if len(layers) < 2:
        return False
    *others, last = layers
    return all(layer.in_features == last.out_features for layer in others)


def _is_dense(layer: nn.Module) -> bool:
    """A linear layer, or the experts in its place.

    Experts are known by name: a model loaded on trust brings a class of its own.
    """
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "ExpertLinear"
