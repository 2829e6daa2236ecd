"""Turn a dense encoder into a Mixture of Experts that gives the same embeddings.

Paper: arXiv 2412.17364 (CLP), section 3. Upcycling: arXiv 2212.05055.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from transformers import MODEL_MAPPING

from whet.encoder.layers import Site, blocks, feed_forward
from whet.errors import ConfigError
from whet.moe.modeling_whet_moe import ExpertLinear, family, put_experts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def upcycle(
    model: "SentenceTransformer",
    layers: str | Sequence[int] = "all",
    site: Site = "intermediate",
    experts: int = 2,
    top_k: int = 1,
    router: Literal["learned", "reference"] = "learned",
    *,
    seed: int = 0,
) -> "SentenceTransformer":
    """Replace dense feed-forward layers by `experts` copies of themselves and a gate, in place.

    Args:
        model: a loaded SentenceTransformer whose backbone is a transformer.
        layers: `all`, `last-N`, or layer numbers from 0.
        site: `intermediate` (the paper's choice) or `output`, its other variant; see
            `whet.encoder.layers.feed_forward`.
        experts: copies of each layer, at least 2.
        top_k: experts that a token goes through.
        router: `learned`, or `reference` for the paper's code, whose gate gets no gradient at
            top_k 1.
        seed: of the gates, the only new weights.

    Returns the model. Its embeddings stay what they were, up to float noise.

    Raises ConfigError when the settings do not fit the model, naming the linear layers that it
    has.
    """
    if not 1 <= top_k <= experts or experts < 2:
        raise ConfigError(
            f"{experts} experts, {top_k} a token: expected at least 2, and 1 to that many a token"
        )
    encoder = backbone(model)
    replaced = to_replace(encoder, layers, site)
    dense = {name: layer for name, layer in encoder.named_modules() if layer in replaced}
    moe = {
        "experts": experts,
        "top_k": top_k,
        "router": router,
        "layers": list(dense),
    }
    model_class = family(encoder.__class__)
    put_experts(encoder, moe)
    encoder.__class__ = model_class
    encoder.config.__class__ = model_class.config_class
    encoder.config.moe = moe
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, layer in expert_layers(encoder).items():
            _copy_weights(dense[name], layer, generator)
    return model


def to_replace(encoder: Any, layers: str | Sequence[int], site: Site) -> set[nn.Module]:
    """The dense layers that `upcycle` would replace; raises ConfigError as it does."""
    if expert_layers(encoder):
        raise ConfigError(
            "the model has experts already; merge them first, or start from its dense parent"
        )
    model_class = type(encoder)
    config_class = encoder.config.__class__
    if MODEL_MAPPING.get(config_class, None) is not model_class:
        raise ConfigError(
            f"AutoModel makes no {model_class.__name__} of a {config_class.__name__}: with "
            "experts it could not be loaded again. Expected a model of one of transformers' own "
            "encoder or decoder classes."
        )
    encoder_layers = blocks(encoder)
    replaced: set[nn.Module] = set()
    for number in chosen_layers(layers, len(encoder_layers)):
        dense = feed_forward(encoder_layers[number], site)
        replaced.update(dense.values())
    return replaced


def backbone(model: nn.Module) -> Any:
    """The transformers model inside a SentenceTransformer.

    Raises ConfigError unless there is exactly one.
    """
    transformers = []
    for module in model.modules():
        transformer = getattr(module, "auto_model", None)
        if transformer is not None and transformer not in transformers:
            transformers.append(transformer)
    if len(transformers) != 1:
        raise ConfigError(
            f"{type(model).__name__} has {len(transformers)} transformers inside; "
            "experts need exactly one"
        )
    return transformers[0]


def expert_layers(model: nn.Module) -> dict[str, ExpertLinear]:
    """The expert layers of a model, by their full name, in order."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, ExpertLinear)}


def chosen_layers(layers: str | Sequence[int], count: int) -> list[int]:
    """Layer numbers from 0 that `layers` means in a model of `count` layers.

    Raises ConfigError when it means none.

    >>> chosen_layers("last-2", 6), chosen_layers((0, -1), 6)
    ([4, 5], [0, 5])
    """
    if layers == "all":
        return list(range(count))
    if isinstance(layers, str):
        head, _, number = layers.partition("-")
        if head == "last" and number.isdecimal() and 1 <= int(number) <= count:
            return list(range(count - int(number), count))
    elif layers and all(-count <= layer < count for layer in layers):
        return sorted({layer % count for layer in layers})
    raise ConfigError(
        f"layers is {layers!r}; expected all, last-N with N up to {count}, "
        f"or numbers from 0 to {count - 1}"
    )


def _copy_weights(dense: Any, layer: ExpertLinear, generator: torch.Generator) -> None:
    """Make every expert a copy of a dense layer, and draw the gate."""
    layer.weight.copy_(dense.weight.expand_as(layer.weight))
    if layer.bias is not None:
        layer.bias.copy_(dense.bias.expand_as(layer.bias))
    has_gate = layer.leader[0] is layer
    if has_gate:
        gate = torch.randn(layer.gate.shape, generator=generator)
        layer.gate.copy_(gate * layer.in_features**-0.5)
