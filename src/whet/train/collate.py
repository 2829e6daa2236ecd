"""Rows of ids into batches for the model: every distinct text once, with the relations by qrels.

A row is a `Pair` of ids. A batch is what `SentenceTransformerTrainer` hands to a loss: features
`query` (the batch's queries, then the positive queries h* of its passages), features `passage`, and
`label`, the fields of `losses.Relations`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from whet.encoder import tokenise
from whet.encoder.tokens import Task
from whet.mine.known import known_positives
from whet.records import Collection, PositiveQuery

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Texts: TypeAlias = Sequence[str]

PositiveQueries: TypeAlias = Mapping[str, Texts]
"""Passage id → texts of queries that it answers."""

Scores: TypeAlias = Mapping[str, float]

SoftLabels: TypeAlias = Mapping[str, Scores]
"""Query id → passage id → soft label in [0, 1]."""

Batch: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """One training row: a query, one of its positives, and its mined negatives (ids)."""

    query_id: str
    positive_id: str
    negative_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownRelevance:
    """What is known about the training texts, beyond the batch at hand.

    Attributes:
        positives: all known positives of a query (query id → passage ids). None of them is ever
            pushed away. They are those of every split, those of queries with the same text, and
            passages with the text of one of them.
        positive_queries: texts of queries that a mined negative answers (passage id → texts).
        labels: the teachers' soft labels.
    """

    positives: Mapping[str, frozenset[str]]
    positive_queries: PositiveQueries
    labels: SoftLabels = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        collection: Collection,
        positive_queries: Sequence[PositiveQuery] = (),
        labels: SoftLabels | None = None,
    ) -> "KnownRelevance":
        """Gather it from the qrels of every split and the positive queries of negatives."""
        texts: dict[str, list[str]] = {}
        for query in positive_queries:
            texts.setdefault(query.passage_id, []).append(query.text)
        return cls(known_positives(collection), texts, labels or {})


class PairCollator:
    """Makes a batch of rows; see the module's header for what it gives."""

    def __init__(
        self,
        model: "SentenceTransformer",
        collection: Collection,
        known: KnownRelevance,
    ) -> None:
        self.model = model
        self.collection = collection
        self.known = known
        self.negatives: dict[str, tuple[str, ...]] = {}  # of re-mined queries

    def refresh(
        self,
        negatives: Mapping[str, tuple[str, ...]],
        positive_queries: PositiveQueries,
    ) -> None:
        """From now on use these negatives of queries, and these positive queries of passages."""
        self.negatives |= negatives
        texts = {**self.known.positive_queries, **positive_queries}
        self.known = replace(self.known, positive_queries=texts)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Features and relations of a batch."""
        pairs = [self._pair(row) for row in rows]
        passages: dict[str, None] = {}  # ids, each once, in order
        for pair in pairs:
            passages |= dict.fromkeys([pair.positive_id, *pair.negative_ids])
        text_of = self.collection.queries
        queries = [text_of[pair.query_id] for pair in pairs]
        # A positive query that is one of the batch's own counts as that query.
        queries += self._other_positive_queries(queries, passages)
        contents = [self.collection.passages[passage].content for passage in passages]

        relations = self._relations(pairs, list(passages), queries)
        batch: Batch = {"label": relations}
        batch |= self._features("query", queries, "query")
        batch |= self._features("passage", contents, "document")
        return batch

    def _pair(self, row: Mapping[str, Any]) -> Pair:
        """A row as a pair, with the newest negatives of its query."""
        query = row["query_id"]
        negatives = self.negatives.get(query, row["negative_ids"])  # re-mined, or the first
        return Pair(query, row["positive_id"], tuple(negatives))

    def _other_positive_queries(self, queries: Texts, passages: Iterable[str]) -> list[str]:
        """Texts of the passages' positive queries, each once, without the batch's own queries."""
        texts: dict[str, None] = {}
        for passage in passages:
            of_passage = self.known.positive_queries.get(passage, ())
            texts |= dict.fromkeys(of_passage)
        return [text for text in texts if text not in queries]

    def _features(self, column: str, texts: Texts, task: Task) -> Batch:
        named: Batch = {}
        for name, value in tokenise(self.model, texts, task).items():
            named[f"{column}_{name}"] = value
        return named

    def _relations(
        self,
        pairs: Sequence[Pair],
        passages: Sequence[str],
        queries: Sequence[str],
    ) -> dict[str, Tensor]:
        """The fields of `losses.Relations`.

        `passages` are ids (doc). `queries` are texts (star): those of the pairs, in order (query),
        then other positive queries of the passages.

        Example: pairs (q1, a) and (q2, b) with the mined negative c of q1, which answers "x":

            passages a b c; queries q1 q2 "x"
            positive    0 1
            negative    q1: no yes yes     q2: yes no yes
            answers     a: q1              b: q2             c: "x"
        """
        doc = {passage: column for column, passage in enumerate(passages)}
        none: frozenset[str] = frozenset()
        positives = [self.known.positives.get(pair.query_id, none) for pair in pairs]
        positive = [doc[pair.positive_id] for pair in pairs]  # (query,)
        negative = [_not_in(known, passages) for known in positives]  # (query, doc)
        answers = self._answers(positives, passages, queries)  # (doc, star)
        relations = {
            "positive": torch.tensor(positive),
            "negative": torch.tensor(negative),
            "answers": torch.tensor(answers),
        }
        if self.known.labels:
            labels = self._labels(pairs, passages)  # (query, doc)
            relations["label"] = torch.tensor(labels)
        return relations

    def _answers(
        self,
        positives: Sequence[frozenset[str]],
        passages: Sequence[str],
        queries: Texts,
    ) -> list[list[bool]]:
        """Where a passage answers a query, (doc, star); `positives` are those of the pairs.

        A text that stands among the queries twice counts at its first place only.
        """
        answers = []
        for passage in passages:
            texts = self.known.positive_queries.get(passage, ())
            seen: set[str] = set()
            row = []
            for place, text in enumerate(queries):
                is_answered = text in texts
                if place < len(positives):
                    is_answered = is_answered or passage in positives[place]
                row.append(is_answered and text not in seen)
                seen.add(text)
            answers.append(row)
        return answers

    def _labels(self, pairs: Sequence[Pair], passages: Sequence[str]) -> list[list[float]]:
        """Soft labels, (query, doc), NaN where no teacher scored the two."""
        labels = []
        for pair in pairs:
            of_query = self.known.labels.get(pair.query_id, {})
            row = [of_query.get(passage, torch.nan) for passage in passages]
            labels.append(row)
        return labels


def _not_in(known: frozenset[str], passages: Sequence[str]) -> list[bool]:
    return [passage not in known for passage in passages]
