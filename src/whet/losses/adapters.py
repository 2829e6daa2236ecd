"""The losses as sentence-transformers losses: they embed a batch, packed, and hand it to the pure functions.

They work in a plain `SentenceTransformerTrainer`. Columns, in this order whatever their names: query, positive, then
for each hard negative its text and `queries_per_negative` queries that it answers. whet's own trainer passes two
features, queries and passages, and the relations by qrels as labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whet.encoder.packed import embed
from whet.encoder.tokens import Features, token_rows
from whet.losses.clp import clp
from whet.losses.infonce import Parts, cosine, info_nce
from whet.losses.relations import Relations, relations_of
from whet.losses.soft import LOSSES, SoftLoss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class Packing:
    """How a batch is embedded; it changes time and memory only (`whet.encoder.packed.embed`)."""

    chunk_tokens: int | None = None
    graph_tokens: int | None = None
    autocast: torch.dtype | None = None


@dataclass(frozen=True, slots=True)
class SoftPart:
    """A part of the loss against teachers' labels (`whet.losses.soft`), added with this weight."""

    weight: float = 1.0
    loss: SoftLoss = "kl"


class InfoNCELoss(nn.Module):
    """InfoNCE with in-batch and hard negatives, known positives masked.

    Args:
        model: the model to train.
        temperature: τ of the softmax.
        in_batch: whether other rows' passages count as negatives.
        queries_per_negative: columns after each negative column that hold queries it answers; ignored by this loss.
        packing: time and memory of the forward pass.
        soft: a part against the teachers' labels, where a batch has some.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        temperature: float = 0.02,
        *,
        in_batch: bool = True,
        queries_per_negative: int = 0,
        packing: Packing | None = None,
        soft: SoftPart | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.in_batch = in_batch
        self.queries_per_negative = queries_per_negative
        self.packing = packing or Packing()
        self.soft = soft
        (self.blank,) = token_rows(model.preprocess([""], task="query"))

    def forward(
        self, features: Sequence[Features], labels: Mapping[str, Tensor] | Tensor | None = None
    ) -> Parts:
        """Named, weighted parts of the loss; the trainer adds them up and logs each."""
        if isinstance(labels, Mapping):
            relations = Relations(**labels)
            star, passage = (self._embed(column) for column in features)
        else:
            relations = relations_of(features, self.queries_per_negative, self.in_batch, self.blank)
            star, passage = self._columns(features)
        # Divided by a small τ, similarities in half precision would be steps, not slopes.
        with torch.autocast(star.device.type, enabled=False):
            query = star[: len(relations.positive)]
            return self.parts(query, passage, star, relations) | self._soft(
                query, passage, relations
            )

    def parts(
        self,
        query: Float[Tensor, "query dim"],
        passage: Float[Tensor, "doc dim"],
        star: Float[Tensor, "star dim"],  # noqa: ARG002 - InfoNCE has no use for h*
        relations: Relations,
    ) -> Parts:
        """The pure function behind this loss."""
        return info_nce(query, passage, relations, temperature=self.temperature)[1]

    def _soft(
        self,
        query: Float[Tensor, "query dim"],
        passage: Float[Tensor, "doc dim"],
        relations: Relations,
    ) -> Parts:
        """What the teachers' labels add; nothing where there are none."""
        if self.soft is None or relations.label is None:
            return {}
        options = {"temperature": self.temperature} if self.soft.loss == "kl" else {}
        known = ~relations.label.isnan()
        found = LOSSES[self.soft.loss](cosine(query, passage), relations.label, known, **options)
        return {"soft": self.soft.weight * found}

    def get_config_dict(self) -> dict[str, Any]:
        """Settings for the model card."""
        soft = {"soft_weight": self.soft.weight, "soft_loss": self.soft.loss} if self.soft else {}
        return {"temperature": self.temperature, "in_batch": self.in_batch, **soft}

    def _embed(self, features: Features) -> Float[Tensor, "doc dim"]:
        packing = self.packing
        return embed(
            self.model,
            features,
            chunk_tokens=packing.chunk_tokens,
            graph_tokens=packing.graph_tokens,
            autocast=packing.autocast,
        )

    def _columns(
        self, features: Sequence[Features]
    ) -> tuple[Float[Tensor, "star dim"], Float[Tensor, "doc dim"]]:
        vectors = [self._embed(column) for column in features]
        step = 1 + self.queries_per_negative
        stars = [v for column, v in enumerate(vectors[2:]) if column % step]
        return torch.cat([vectors[0], *stars]), torch.cat([vectors[1], *vectors[2::step]])


class ContrastivePenaltyLoss(InfoNCELoss):
    """CLP (arXiv 2412.17364): InfoNCE whose negatives are held near the queries that they answer.

    Args:
        model: the model to train.
        temperature: τ; the reference's value by default.
        penalty_weight: λ; the reference's value by default.
        in_batch: whether other rows' passages count as negatives; their rows' queries are then their h*.
        queries_per_negative: columns after each negative column that hold queries it answers ("" where there is none).
        packing: time and memory of the forward pass.
        soft: a part against the teachers' labels, where a batch has some.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        temperature: float = 0.02,
        penalty_weight: float = 0.1,
        *,
        in_batch: bool = True,
        queries_per_negative: int = 0,
        packing: Packing | None = None,
        soft: SoftPart | None = None,
    ) -> None:
        super().__init__(
            model,
            temperature,
            in_batch=in_batch,
            queries_per_negative=queries_per_negative,
            packing=packing,
            soft=soft,
        )
        self.penalty_weight = penalty_weight

    def parts(
        self,
        query: Float[Tensor, "query dim"],
        passage: Float[Tensor, "doc dim"],
        star: Float[Tensor, "star dim"],
        relations: Relations,
    ) -> Parts:
        """The pure function behind this loss."""
        return clp(
            query,
            passage,
            star,
            relations,
            temperature=self.temperature,
            weight=self.penalty_weight,
        )[1]

    def get_config_dict(self) -> dict[str, Any]:
        """Settings for the model card."""
        return super().get_config_dict() | {"penalty_weight": self.penalty_weight}


class SoftLabelLoss(InfoNCELoss):
    """The teachers' labels and nothing else (arXiv 2408.11868): every labelled pair of a batch, hard negatives or not.

    Args:
        model: the model to train.
        temperature: τ of the student's softmax in `kl`.
        packing: time and memory of the forward pass.
        soft: which loss.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        temperature: float = 0.05,
        *,
        packing: Packing | None = None,
        soft: SoftPart | None = None,
    ) -> None:
        super().__init__(model, temperature, packing=packing, soft=soft or SoftPart())

    def parts(self, *_: Any, **__: Any) -> Parts:
        """Nothing but the soft part."""
        return {}
