"""Named parts of a loss, each beside its weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossParts:
    """Unweighted parts of a loss by name, and the weight of each in the total."""

    values: Mapping[str, Float[Tensor, ""]]
    weights: Mapping[str, float]

    @property
    def weighted(self) -> dict[str, Float[Tensor, ""]]:
        """Each part times its weight. They sum to the total."""
        return {name: self.weights[name] * value for name, value in self.values.items()}

    @property
    def total(self) -> Float[Tensor, ""]:
        """The loss."""
        return torch.stack(list(self.weighted.values())).sum()

    def __or__(self, other: "LossParts") -> "LossParts":
        """The parts of both."""
        return LossParts({**self.values, **other.values}, {**self.weights, **other.weights})
