"""Objectives: the pure losses with their settings, as a module applies them to a batch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from whet.losses.clp import clp
from whet.losses.infonce import cosine, info_nce
from whet.losses.parts import LossParts
from whet.losses.relations import Relations
from whet.losses.soft import LOSSES, SoftPart


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """A batch's vectors and their relations; `of` makes one."""

    query: Float[Tensor, "query dim"]
    passage: Float[Tensor, "doc dim"]
    star: Float[Tensor, "star dim"]
    relations: Relations

    @classmethod
    def of(
        cls,
        passage: Float[Tensor, "doc dim"],
        star: Float[Tensor, "star dim"],
        relations: Relations,
    ) -> "EmbeddedBatch":
        """`star` are the batch's queries, and then other queries that its passages answer (h*)."""
        # Sliced once: slicing for each objective would add their gradients in another order.
        query = star[: len(relations.positive)]
        return cls(query, passage, star, relations)


@runtime_checkable
class Objective(Protocol):
    """What a batch costs."""

    def __call__(self, batch: EmbeddedBatch) -> LossParts:
        """The parts of the loss."""
        ...

    def settings(self) -> dict[str, Any]:
        """Settings for the model card."""
        ...


@dataclass(frozen=True, slots=True)
class InfoNCE:
    """`info_nce` at a temperature τ."""

    temperature: float = 0.02

    def __call__(self, batch: EmbeddedBatch) -> LossParts:
        """The contrastive part alone."""
        return info_nce(batch.query, batch.passage, batch.relations, temperature=self.temperature)

    def settings(self) -> dict[str, Any]:
        """Settings for the model card."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ContrastivePenalty:
    """`clp` at a temperature τ, with the weight λ; the defaults are the reference's values."""

    temperature: float = 0.02
    penalty_weight: float = 0.1

    def __call__(self, batch: EmbeddedBatch) -> LossParts:
        """The contrastive part and the penalty."""
        return clp(
            batch.query,
            batch.passage,
            batch.star,
            batch.relations,
            temperature=self.temperature,
            weight=self.penalty_weight,
        )

    def settings(self) -> dict[str, Any]:
        """Settings for the model card."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """A loss against the teachers' labels. `temperature` is τ of the student's softmax in `kl`."""

    temperature: float = 0.05
    soft: SoftPart = field(default_factory=SoftPart)

    def __call__(self, batch: EmbeddedBatch) -> LossParts:
        """The soft part; no part where the batch has no labels."""
        label = batch.relations.label
        if label is None:
            return LossParts({}, {})
        options = {"temperature": self.temperature} if self.soft.loss == "kl" else {}
        loss = LOSSES[self.soft.loss]
        value = loss(cosine(batch.query, batch.passage), label, ~label.isnan(), **options)
        return LossParts({"soft": value}, {"soft": self.soft.weight})

    def settings(self) -> dict[str, Any]:
        """Settings for the model card."""
        return {
            "temperature": self.temperature,
            "soft_weight": self.soft.weight,
            "soft_loss": self.soft.loss,
        }
