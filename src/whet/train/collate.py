"""Rows of ids into model-ready batches: every distinct text once, with the relations that the qrels tell.

Eats `Pair`s (ids); yields what `SentenceTransformerTrainer` feeds a loss: features `query` (the batch's queries, then
the positive queries h* of its passages), features `passage`, and `label`, the fields of `losses.Relations`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from whet.encoder.packed import Task, tokenise
from whet.mine.known import known_positives
from whet.records import Collection, PositiveQuery

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class Pair:
    """One training row: a query, one of its positives, and its mined negatives (ids)."""

    query_id: str
    positive_id: str
    negative_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownRelevance:
    """What is known about the training texts, beyond the batch at hand.

    `positives` are all known positives of a query, so that none is ever pushed away: those of every split, those of
    queries with the same text, and passages with the text of one of them. `positive_queries` are texts of queries
    that a mined negative answers. `labels` is what the teachers say of a query and a passage, in
    [0, 1].
    """

    positives: Mapping[str, frozenset[str]]
    positive_queries: Mapping[str, Sequence[str]]
    labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        collection: Collection,
        found: Sequence[PositiveQuery] = (),
        labels: Mapping[str, Mapping[str, float]] | None = None,
    ) -> "KnownRelevance":
        """Gather it from the qrels of every split, the queries found for negatives."""
        stars: dict[str, list[str]] = {}
        for star in found:
            stars.setdefault(star.passage_id, []).append(star.text)
        return cls(known_positives(collection), stars, labels or {})


class PairCollator:
    """Makes a batch of pairs; see the module's header for what it yields."""

    def __init__(
        self, model: "SentenceTransformer", collection: Collection, knowledge: KnownRelevance
    ) -> None:
        self.model = model
        self.collection = collection
        self.knowledge = knowledge
        self.negatives: dict[str, tuple[str, ...]] = {}

    def refresh(
        self, negatives: Mapping[str, tuple[str, ...]], stars: Mapping[str, Sequence[str]]
    ) -> None:
        """From now on give queries these negatives instead of those before, and add what these passages answer."""
        self.negatives |= negatives
        self.knowledge = replace(
            self.knowledge, positive_queries={**self.knowledge.positive_queries, **stars}
        )

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Features and relations of a batch; see the module's header."""
        pairs = [
            Pair(
                query := row["query_id"],
                row["positive_id"],
                tuple(self.negatives.get(query, row["negative_ids"])),
            )
            for row in rows
        ]
        passages = list(
            dict.fromkeys(p for pair in pairs for p in (pair.positive_id, *pair.negative_ids))
        )
        queries = [self.collection.queries[pair.query_id] for pair in pairs]
        # A batch's query that is also a recorded h* counts once, as the query that it is.
        found = dict.fromkeys(
            text for p in passages for text in self.knowledge.positive_queries.get(p, ())
        )
        stars = [text for text in found if text not in queries]
        batch: dict[str, Any] = {"label": self._relations(pairs, passages, [*queries, *stars])}
        self._add(batch, "query", [*queries, *stars], "query")
        self._add(
            batch, "passage", [self.collection.passages[p].content for p in passages], "document"
        )
        return batch

    def _add(self, batch: dict[str, Any], column: str, texts: Sequence[str], task: Task) -> None:
        batch |= {
            f"{column}_{name}": value for name, value in tokenise(self.model, texts, task).items()
        }

    def _relations(
        self, pairs: Sequence[Pair], passages: Sequence[str], stars: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        place = {passage: i for i, passage in enumerate(passages)}
        known = [self.knowledge.positives.get(pair.query_id, frozenset()) for pair in pairs]
        negative = [[passage not in own for passage in passages] for own in known]
        first: dict[str, int] = {}
        for row, text in enumerate(stars):
            first.setdefault(text, row)
        answers = [
            [
                first[text] == row  # a text counts once, however often it is asked
                and (
                    text in self.knowledge.positive_queries.get(p, ())
                    or (row < len(known) and p in known[row])
                )
                for row, text in enumerate(stars)
            ]
            for p in passages
        ]
        relations = {
            "positive": torch.tensor([place[pair.positive_id] for pair in pairs]),
            "negative": torch.tensor(negative),
            "answers": torch.tensor(answers),
        }
        if self.knowledge.labels:
            said = [self.knowledge.labels.get(pair.query_id, {}) for pair in pairs]
            relations["label"] = torch.tensor(
                [[labels.get(p, torch.nan) for p in passages] for labels in said]
            )
        return relations
