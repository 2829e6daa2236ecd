"""What the stages hand to one another. Frozen, small, and free of torch.

The main axis names are `query doc pair group dim token expert teacher star`. `star` runs over the
positive queries h* of negatives (CLP, arXiv 2412.17364).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32

Judgements: TypeAlias = dict[str, dict[str, int]]
"""Qrels: query id → passage id → grade. A grade of 0 or below means judged not relevant."""

Ranking: TypeAlias = dict[str, dict[str, float]]
"""A retrieval run: query id → passage id → score (higher is better)."""

Vectors: TypeAlias = Float32[np.ndarray, "doc dim"]

NegativeSource = Literal["ance", "bm25", "random", "given"]

QuerySource = Literal["gold", "given", "generated", "extractive"]
"""Where a positive query comes from, most trusted first."""

Style = Literal["question", "keywords", "long", "misspelt"]
"""How a generated query is worded."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the corpus."""

    id: str
    text: str
    title: str = ""

    @property
    def content(self) -> str:
        """Title and text joined by a space, as BEIR and MTEB join them."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Collection:
    """A corpus, its queries, and the judgements of each split ("train", "dev", "test").

    Attributes:
        name: what reports call it.
        passages: passage id → passage.
        queries: query id → text, of all splits.
        qrels: split → judgements.
        negatives: query id → passage ids that the user gave as its hard negatives.
        positive_queries: passage id → query texts that the user says it answers (CLP's h*).
        documents: passage id → name of the document that it was cut from.
        synthetic: the splits whose queries were generated.
    """

    name: str
    passages: Mapping[str, Passage]
    queries: Mapping[str, str]
    qrels: Mapping[str, Judgements]
    negatives: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positive_queries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    synthetic: frozenset[str] = frozenset()

    def positives(self, split: str) -> dict[str, list[str]]:
        """Query id → ids of its passages with a grade above 0, best grade first, of one split."""
        positives: dict[str, list[str]] = {}
        for query, grades in self.qrels.get(split, {}).items():
            best_first = sorted((-grade, passage) for passage, grade in grades.items() if grade > 0)
            if best_first:
                positives[query] = [passage for _, passage in best_first]
        return positives

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """Every (query id, positive passage id) of one split, in order."""
        pairs = []
        for query, passages in self.positives(split).items():
            pairs += [(query, passage) for passage in passages]
        return pairs

    def answering(self, split: str) -> dict[str, None]:
        """Ids of the passages that answer a query of one split, each once, in order."""
        return dict.fromkeys(passage for _, passage in self.pairs(split))

    def augmented(self, synthetic: "Sequence[SyntheticQuery]") -> "Collection":
        """The collection with synthetic queries behind the real ones of its train split."""
        if not synthetic:
            return self
        queries = dict(self.queries)
        train = dict(self.qrels.get("train", {}))
        for query in synthetic:
            queries[query.query_id] = query.text
            train[query.query_id] = {query.passage_id: 1}
        return replace(self, queries=queries, qrels={**self.qrels, "train": train})


@dataclass(frozen=True, slots=True)
class Negative:
    """A passage that was mined as a hard negative.

    `rank` is its rank in the search that found it, from 1; `score` is the model's.
    """

    passage_id: str
    rank: int
    score: float
    source: NegativeSource


@dataclass(frozen=True, slots=True)
class MinedQuery:
    """The hard negatives of one training query."""

    query_id: str
    negatives: tuple[Negative, ...]


@dataclass(frozen=True, slots=True)
class PositiveQuery:
    """A query that a passage answers (CLP's h*), and where it comes from."""

    passage_id: str
    text: str
    source: QuerySource


@dataclass(frozen=True, slots=True)
class SyntheticQuery:
    """A training query that was generated for a passage, which answers it."""

    query_id: str
    text: str
    passage_id: str

    def to_json(self) -> dict[str, str]:
        """Give the row of `queries.jsonl`."""
        return {
            "query_id": self.query_id,
            "text": self.text,
            "passage_id": self.passage_id,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, str]) -> "SyntheticQuery":
        """Undo `to_json`."""
        return cls(row["query_id"], row["text"], row["passage_id"])


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors whose dot product is the model's similarity.

    They are of unit length unless the model compares by dot product.
    """

    @property
    def fingerprint(self) -> str:
        """Changes whenever a weight, the tokenizer, a prompt or the pooling changes."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, in order: (doc, dim) float32."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, in order: (doc, dim) float32."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """Says how well passages answer queries, on whatever scale it has (arXiv 2408.11868)."""

    @property
    def name(self) -> str:
        """What reports and errors call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with whatever decides a score: weights, prompts, pooling, corpus."""
        ...

    @property
    def block(self) -> int:
        """Pairs that it scores at a time. A killed process loses at most one block."""
        ...

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """Score pairs: query i with passage i; higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a generator is asked for: `count` queries that the passage answers.

    With `query`, the texts are paraphrases of that query.
    """

    passage: Passage
    style: Style = "question"
    count: int = 1
    query: str = ""


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Texts that a generator gave for a request, best first, or why there are none."""

    texts: tuple[str, ...]
    failure: str = ""


@runtime_checkable
class Generator(Protocol):
    """Generates queries that passages answer."""

    @property
    def name(self) -> str:
        """What reports and errors call it."""
        ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """One result for every request, in order."""
        ...


@dataclass(frozen=True, slots=True)
class InterpolationPoint:
    """A model between base (interpolation weight `share` 0) and tuned weights (1), with its scores.

    `dev` and `guard` are means of nDCG@10 in [0, 1]; `guard` is None without a forgetting check.
    """

    share: float
    dev: float
    guard: float | None


@dataclass(frozen=True, slots=True)
class LayerUse:
    """How the experts of one layer share the work.

    `share` is each expert's share of the tokens. `entropy` is the mean entropy of the gate's
    probabilities, from 0 (always sure) to 1 (never sure). `tokens` are the tokens most typical of
    each expert.
    """

    layer: str
    share: tuple[float, ...]
    entropy: float
    tokens: tuple[tuple[str, ...], ...]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "LayerUse":
        """Read one object of `experts.json`."""
        return cls(
            layer=record["layer"],
            share=tuple(record["share"]),
            entropy=record["entropy"],
            tokens=tuple(tuple(tokens) for tokens in record["tokens"]),
        )
