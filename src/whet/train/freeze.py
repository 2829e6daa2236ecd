"""Which parameters train. Layers are found by structure, so any encoder family of transformers works."""

from torch import nn

from whet.errors import ConfigError


def blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer's layers, lowest first: the longest list of modules of one class.

    Raises ConfigError when the model has no such list.
    """
    lists = [list(m) for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(c) for c in m}) == 1]
    if not lists:
        raise ConfigError(f"{type(model).__name__} has no transformer layers; use --train-only all")
    return max(lists, key=len)


def intermediate_layers(block: nn.Module) -> dict[str, nn.Linear]:
    """The FFN up-projections of a layer (arXiv 2412.17364's intermediate layer): wider out than in, not attention."""
    return {
        name: layer
        for name, layer in block.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features > layer.in_features and "att" not in name.lower()
    }


def train_only(model: nn.Module, which: str) -> tuple[int, int]:
    """Freeze everything but `all`, the `intermediate` layers, or the `last-N` layers; returns (trained, total) counts.

    Raises ConfigError when nothing would train, naming the linear layers that a block does have.
    """
    if which == "all":
        chosen: list[nn.Module] = [model]
    elif which == "intermediate":
        chosen = [layer for block in blocks(model) for layer in intermediate_layers(block).values()]
    else:
        chosen = blocks(model)[-int(which.split("-")[1]) :]
    if not chosen:
        found = [name for name, layer in blocks(model)[0].named_modules() if isinstance(layer, nn.Linear)]
        raise ConfigError(
            f"no intermediate layer found; the linear layers of a block are {found}. Use --train-only all"
        )
    model.requires_grad_(False)
    for module in chosen:
        module.requires_grad_(True)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


def without_dropout(model: nn.Module) -> None:
    """Set every dropout probability to 0: nn.Dropout modules and the numbers that attention layers keep."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
