"""Losses as modules: they embed a batch, packed, and hand it to an objective.

`RetrievalLoss` works in a plain `SentenceTransformerTrainer`. Its columns, in this order whatever
their names: query, positive, then for each hard negative its text and `queries_per_negative`
queries that it answers.

`CollatedLoss` works on the batches of whet's own trainer: two features, queries and passages, and
as labels the relations that the qrels tell (`whet.train.collate`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from whet.encoder.packed import embed
from whet.encoder.tokens import Features, token_rows
from whet.losses.objectives import (
    ContrastivePenalty,
    EmbeddedBatch,
    InfoNCE,
    Objective,
    SoftLabels,
)
from whet.losses.parts import LossParts
from whet.losses.relations import Relations, relations_of
from whet.losses.soft import SoftPart

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class Packing:
    """How a batch is embedded (`whet.encoder.packed.embed`). It changes time and memory only."""

    chunk_tokens: int | None = None
    graph_tokens: int | None = None
    autocast: torch.dtype | None = None

    def embed(self, model: nn.Module, features: Features) -> Float[Tensor, "doc dim"]:
        """Embed tokenised texts."""
        return embed(
            model,
            features,
            chunk_tokens=self.chunk_tokens,
            graph_tokens=self.graph_tokens,
            autocast=self.autocast,
        )


class RetrievalLoss(nn.Module):
    """An objective over the columns of a plain sentence-transformers batch.

    Args:
        model: the model to train.
        objective: what a batch costs.
        in_batch: whether other rows' passages count as negatives. In CLP, the queries of those
            rows are then their h*.
        queries_per_negative: columns after each negative column that hold queries it answers, ""
            where there is none. What a passage answers is never its negative.
        packing: time and memory of the forward pass.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        objective: Objective,
        *,
        in_batch: bool = True,
        queries_per_negative: int = 0,
        packing: Packing | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.in_batch = in_batch
        self.queries_per_negative = queries_per_negative
        self.packing = packing or Packing()
        (self.blank,) = token_rows(model.preprocess([""], task="query"))

    def forward(
        self,
        features: Sequence[Features],
        labels: Tensor | None = None,  # noqa: ARG002 - the trainer passes it to every loss
    ) -> dict[str, Float[Tensor, ""]]:
        """Named, weighted parts of the loss. The trainer adds them up and logs each."""
        relations = relations_of(features, self.queries_per_negative, self.in_batch, self.blank)
        vectors = [self.packing.embed(self.model, column) for column in features]
        step = 1 + self.queries_per_negative
        star_columns = [vectors[0]]
        passage_columns = [vectors[1]]
        for place, column in enumerate(vectors[2:]):
            if place % step == 0:
                passage_columns.append(column)
            else:
                star_columns.append(column)
        passage = torch.cat(passage_columns)
        star = torch.cat(star_columns)
        batch = EmbeddedBatch.of(passage, star, relations)
        return in_float32(self.objective, batch).weighted

    def get_config_dict(self) -> dict[str, Any]:
        """Settings for the model card."""
        return self.objective.settings() | {"in_batch": self.in_batch}


class InfoNCELoss(RetrievalLoss):
    """InfoNCE with in-batch and hard negatives, known positives masked.

    Args:
        model: the model to train.
        temperature: τ of the softmax.
        in_batch, queries_per_negative, packing: see `RetrievalLoss`.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        temperature: float = 0.02,
        *,
        in_batch: bool = True,
        queries_per_negative: int = 0,
        packing: Packing | None = None,
    ) -> None:
        super().__init__(
            model,
            InfoNCE(temperature),
            in_batch=in_batch,
            queries_per_negative=queries_per_negative,
            packing=packing,
        )


class ContrastivePenaltyLoss(RetrievalLoss):
    """CLP (arXiv 2412.17364): InfoNCE whose negatives are held near the queries that they answer.

    Args:
        model: the model to train.
        temperature: τ; by default the reference's value.
        penalty_weight: λ; by default the reference's value.
        in_batch, queries_per_negative, packing: see `RetrievalLoss`.
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
    ) -> None:
        super().__init__(
            model,
            ContrastivePenalty(temperature, penalty_weight),
            in_batch=in_batch,
            queries_per_negative=queries_per_negative,
            packing=packing,
        )


class CollatedLoss(nn.Module):
    """Objectives over batches as `whet.train.collate.PairCollator` makes them.

    After a forward pass `last_parts` holds its parts, unweighted and beside their weights.

    Args:
        model: the model to train.
        objectives: what a batch costs; the loss is their sum.
        packing: time and memory of the forward pass.
    """

    last_parts: LossParts

    def __init__(
        self,
        model: "SentenceTransformer",
        objectives: Sequence[Objective],
        packing: Packing | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objectives = tuple(objectives)
        self.packing = packing or Packing()

    def forward(
        self, features: Sequence[Features], labels: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Named, weighted parts of the loss. The trainer adds them up and logs each.

        `features` are those of the queries (star) and of the passages (doc). `labels` are the
        fields of `Relations`. Raises ValueError when there is nothing to learn from: no labels by
        teachers, and no other objective.
        """
        star, passage = (self.packing.embed(self.model, column) for column in features)
        batch = EmbeddedBatch.of(passage, star, Relations(**labels))
        parts = LossParts({}, {})
        for objective in self.objectives:
            parts |= in_float32(objective, batch)
        if not parts.values:
            raise ValueError("the batch has no soft labels, and the loss has no other part")
        values = {name: value.detach() for name, value in parts.values.items()}
        self.last_parts = LossParts(values, parts.weights)
        return parts.weighted


class SoftLabelLoss(CollatedLoss):
    """The teachers' labels alone (arXiv 2408.11868): every labelled pair, hard negative or not.

    Args:
        model: the model to train.
        temperature: τ of the student's softmax in `kl`.
        packing: time and memory of the forward pass.
        soft: which loss, and its weight.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        temperature: float = 0.05,
        *,
        packing: Packing | None = None,
        soft: SoftPart | None = None,
    ) -> None:
        super().__init__(model, [SoftLabels(temperature, soft or SoftPart())], packing)


def in_float32(objective: Objective, batch: EmbeddedBatch) -> LossParts:
    """Apply an objective without autocast.

    Divided by a small τ, similarities in half precision would be steps, not slopes.
    """
    with torch.autocast(batch.star.device.type, enabled=False):
        return objective(batch)
