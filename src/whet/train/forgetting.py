"""What a model must not forget: a general set that is scored beside dev, and the way back towards the base weights.

Between base and tuned weights lies a line of models (WiSE-FT, arXiv 2109.01903; LM-Cocktail, arXiv 2311.13534); a point
on it often keeps most of the gain and loses little of what the base model knew.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from whet.data.pydoc_corpus import STANDARD_LIBRARY, build_pydoc_collection
from whet.data.read import read
from whet.errors import ConfigError, raise_errors
from whet.records import Collection, InterpolationPoint, Judgements
from whet.train.dev import DevSet
from whet.train.forgetting_config import NO_GUARD, PYDOC, GuardConfig

NANO_BEIR = "zeta-alpha-ai"  # whose hub ids are NanoNQ, NanoMSMARCO, …
PYDOC_PAIRS = 600


def forgetting_set(config: GuardConfig) -> DevSet | None:
    """The set that guards, cut to the recipe's size: every answer of some queries, and passages drawn at random.

    None where the recipe names none. Raises DataError or ConfigError when its data cannot be used.
    """
    if config.data == NO_GUARD:
        return None
    collection = _collection(config)
    rng = np.random.default_rng(config.seed)
    judged: Judgements = {}
    for split in collection.qrels.values():
        for query, found in split.items():
            judged[query] = judged.get(query, {}) | found
    able = [query for query, found in judged.items() if any(grade > 0 for grade in found.values())]
    if not able:
        raise ConfigError(
            f"guard.data {config.data}: it has no query with a positive passage; give a set that has"
        )
    drawn = [able[at] for at in sorted(rng.permutation(len(able))[: config.queries].tolist())]
    wanted = {passage for query in drawn for passage in judged[query]}
    ids = list(collection.passages)
    others = [passage for passage in ids if passage not in wanted]
    wanted |= {
        others[at]
        for at in rng.permutation(len(others))[: max(0, config.passages - len(wanted))].tolist()
    }
    return DevSet(
        {query: collection.queries[query] for query in drawn},
        {query: judged[query] for query in drawn},
        {passage: collection.passages[passage].content for passage in ids if passage in wanted},
    )


def _collection(config: GuardConfig) -> Collection:
    if config.data == PYDOC:
        return build_pydoc_collection(
            limit=PYDOC_PAIRS, seed=config.seed, packages=[STANDARD_LIBRARY]
        )
    name = (
        f"{NANO_BEIR}/{config.data}" if re.fullmatch(r"Nano[A-Z]\w+", config.data) else config.data
    )
    collection, faults = read(name)
    raise_errors([replace(fault, where=f"guard.data: {fault.where}") for fault in faults])
    return collection


def best_on_dev(points: Sequence[InterpolationPoint]) -> InterpolationPoint:
    """The point that does best on dev, of equals the nearest to base."""
    return max(points, key=lambda point: (point.dev, -point.share))


def interpolate(
    model: nn.Module,
    base: Mapping[str, Tensor],
    score: Callable[[float], tuple[float, float | None]],
    shares: Sequence[float],
    floor: float | None,
    choose: Callable[[Sequence[InterpolationPoint]], InterpolationPoint] = best_on_dev,
) -> tuple[float, list[InterpolationPoint]]:
    """Leave in `model` the best weights between `base` and its own; returns the share of the latter, and the line.

    `base` are parameters by name, `score` says dev and guard of the model as it stands for a share, and `floor` is the
    lowest guard score that will do. `choose` picks one of the points that lie above it, which stand in order; where
    none does, the share is 0.
    """
    tuned = {
        name: value.detach().clone() for name, value in model.named_parameters() if name in base
    }
    line = []
    for share in sorted(shares):
        mix(model, base, tuned, share)
        line.append(InterpolationPoint(share, *score(share)))
    good = [
        point
        for point in line
        if floor is None or (point.guard is not None and point.guard >= floor)
    ]
    best = choose(good).share if good else 0.0
    mix(model, base, tuned, best)
    return best, line


def mix(
    model: nn.Module, base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float
) -> None:
    """Leave in `model` the weights that lie `share` of the way from `base` to `tuned`, parameters by name."""
    set_weights(
        model,
        {
            name: value if share == 1 else torch.lerp(base[name], value, share)
            for name, value in tuned.items()
        },
    )


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Set parameters by name, and leave the others as they are."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
