"""Interpolation between base and tuned weights.

α in (1 − α) · base + α · tuned gives a model for every α (WiSE-FT, arXiv 2109.01903; LM-Cocktail,
arXiv 2311.13534). One in between often keeps most of the gain and forgets little of what the base
model knew. In code and files α, the interpolation weight, is called `share`.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from whet.records import InterpolationPoint

Parameters = Mapping[str, Tensor]
"""Parameters of a model by name."""

Scores = tuple[float, float | None]
"""Scores of a model: on dev, and on the forgetting check, None without one."""

Score = Callable[[float], Scores]
"""Scores the interpolated model for a share."""

Choice = Callable[[Sequence[InterpolationPoint]], InterpolationPoint]
"""Picks one of several points, which come in ascending order of their shares."""


def best_on_dev(points: Sequence[InterpolationPoint]) -> InterpolationPoint:
    """The point that does best on dev, of equals the nearest to base."""
    return max(points, key=lambda point: (point.dev, -point.share))


def interpolate(
    model: nn.Module,
    base: Parameters,
    score: Score,
    shares: Sequence[float],
    floor: float | None,
    choose: Choice = best_on_dev,
) -> tuple[float, list[InterpolationPoint]]:
    """Leave the best weights between `base` and the model's own in the model.

    Returns the share that was chosen, and all points in ascending order. `score` is called for each
    share, with that share's weights in the model. `floor` is the lowest score on the forgetting
    check that is accepted. `choose` picks one of the accepted points; where there is none, the
    share is 0, the base model.
    """
    # Copies, for the model's own weights are overwritten.
    tuned = {}
    for name, value in model.named_parameters():
        if name in base:
            tuned[name] = value.detach().clone()

    points = []
    for share in sorted(shares):
        mix(model, base, tuned, share)
        dev, forgetting = score(share)
        points.append(InterpolationPoint(share, dev, forgetting))

    accepted = [point for point in points if _is_accepted(point, floor)]
    chosen = 0.0
    if accepted:
        chosen = choose(accepted).share
    mix(model, base, tuned, chosen)
    return chosen, points


def _is_accepted(point: InterpolationPoint, floor: float | None) -> bool:
    if floor is None:
        return True
    if point.guard is None:
        return False
    return point.guard >= floor


def mix(
    model: nn.Module,
    base: Parameters,
    tuned: Parameters,
    share: float,
) -> None:
    """Set the model's weights to (1 − share) · base + share · tuned."""
    weights = {}
    for name, value in tuned.items():
        weights[name] = value
        if share != 1:  # lerp(a, b, 1) may differ from b in the last bit
            weights[name] = torch.lerp(base[name], value, share)
    set_weights(model, weights)


def set_weights(model: nn.Module, weights: Parameters) -> None:
    """Set parameters by name, and leave the others as they are."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
