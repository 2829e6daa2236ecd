"""The dev set during training: the final evaluation's measures, on a pool of passages small enough to encode often.

The pool holds every positive of the dev queries, what BM25 ranks highest for them, and a random sample for the rest of
a budget. What the base model ranks highest would be its own mistakes and nobody else's: any other model looks better
against them (docs/LOG.md). Scores on a pool are higher than on the whole corpus, and compared with each other only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from whet.artifacts import read_json, write_json
from whet.encoder.packed import PackedEncoder
from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY, means, per_query
from whet.evaluate.retrieve import retrieve
from whet.records import Collection, Encoder, Judgements, Ranking

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

HARD = 30  # the deepest rank of BM25 that the pool takes in
POSITIVE_SHARE = (
    0.5  # of the budget that positives may take: beyond it, fewer dev queries are asked
)
FEWEST = 50  # dev queries that are asked in any case
RANDOM_SHARE = 0.2  # of the budget that the positives leave, kept for passages drawn at random
GUARD = f"guard_{PRIMARY}"
ALIKE = 1e-3  # standard deviation of cosines below which a model tells nothing apart


@dataclass(frozen=True, slots=True)
class DevSet:
    """Dev queries (id → text), their judgements, and the pool of passages (id → text) that they are searched in."""

    queries: Mapping[str, str]
    qrels: Judgements
    passages: Mapping[str, str]


def dev_set(
    collection: Collection, lexical: Ranking, rng: np.random.Generator, budget: int
) -> DevSet:
    """Draw the pool; `lexical` is BM25's ranking of the dev queries, `budget` counts characters.

    Every positive is in the pool, then, as far as the budget goes, all first ranks, all second ranks and so on. Where
    the positives would take most of the budget, queries are drawn at random, FEWEST at least.
    """
    positives = _asked(collection, rng, POSITIVE_SHARE * budget)
    qrels = {query: collection.qrels["dev"][query] for query in positives}
    queries = {query: collection.queries[query] for query in positives}
    ranked = [list(lexical.get(query, {}))[:HARD] for query in queries]
    hard = [found[rank] for rank in range(HARD) for found in ranked if rank < len(found)]
    ids = list(collection.passages)
    others = [ids[place] for place in rng.permutation(len(ids)).tolist()]
    wanted = dict.fromkeys(passage for found in positives.values() for passage in found)
    taken = sum(len(collection.passages[passage].content) for passage in wanted)
    left = max(budget - taken, (1 / POSITIVE_SHARE - 1) * taken)
    for source, reserve in ((hard, RANDOM_SHARE * left), (others, 0.0)):
        for passage in source:
            if left <= reserve:
                break
            if passage not in wanted:
                wanted[passage] = None
                left -= len(collection.passages[passage].content)
    pool = {p: passage.content for p, passage in collection.passages.items() if p in wanted}
    return DevSet(queries, qrels, pool)


def _asked(collection: Collection, rng: np.random.Generator, room: float) -> dict[str, list[str]]:
    """Dev queries and their positives: all, or as many as have room for their positives' characters, at random."""
    positives, drawn, used = collection.positives("dev"), set[str](), 0
    queries = list(positives)
    for at in rng.permutation(len(queries)).tolist():
        used += sum(len(collection.passages[passage].content) for passage in positives[queries[at]])
        if used > room and len(drawn) >= FEWEST:
            break
        drawn.add(queries[at])
    return {query: found for query, found in positives.items() if query in drawn}


def ndcg_each(encoder: Encoder, dev: DevSet) -> dict[str, float]:
    """PRIMARY of an encoder for each of the set's queries."""
    return per_query(dev.qrels, retrieve(encoder, dev.queries, dev.passages), [PRIMARY])[PRIMARY]


def ndcg_on(encoder: Encoder, dev: DevSet) -> float:
    """PRIMARY of an encoder, mean over the set's queries."""
    return means({PRIMARY: ndcg_each(encoder, dev)})[PRIMARY]


class DevEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Scores a model on a DevSet, and on one that guards what it knew; leaves each result in `folder` as `STEP.json`.

    Values of the dev queries are kept one by one, of the guard's the mean of PRIMARY, as GUARD. What scores no more
    than `floor`, the base model's mean, is worth nothing.
    """

    def __init__(
        self, dev: DevSet, folder: Path, guard: DevSet | None = None, floor: float = -math.inf
    ) -> None:
        super().__init__()
        self.dev = dev
        self.folder = folder
        self.guard = guard
        self.floor = floor
        self.greater_is_better = True
        self.primary_metric = PRIMARY

    def __call__(
        self,
        model: "SentenceTransformer",
        output_path: str | None = None,  # noqa: ARG002 - the trainer's signature
        epoch: float = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Measure → mean over the dev queries, as fractions.

        Raises TrainingError when the model gives all texts much the same vector.
        """
        encoder = PackedEncoder(model)
        self._check_spread(encoder, max(steps, 0))
        values = per_query(self.dev.qrels, retrieve(encoder, self.dev.queries, self.dev.passages))
        scores = means(values)
        if self.guard is not None:
            scores[GUARD] = ndcg_on(encoder, self.guard)
        write_json(
            self._file(max(steps, 0)), {"epoch": epoch, "means": scores, "per_query": values}
        )
        return scores

    def each(self, steps: int) -> dict[str, float]:
        """PRIMARY of every dev query, by the evaluation at a step."""
        found: dict[str, float] = read_json(self._file(steps))["per_query"][PRIMARY]
        return found

    def _file(self, steps: int) -> Path:
        return self.folder / f"{steps}.json"

    def _check_spread(self, encoder: PackedEncoder, step: int) -> None:
        texts = list(dict.fromkeys(self.dev.passages.values()))[:64]
        if not step or len(texts) < 3:
            return
        vectors = encoder.encode_passages(texts)
        spread = float(np.std((vectors @ vectors.T)[np.triu_indices(len(texts), 1)]))
        if not spread > ALIKE:
            raise TrainingError(
                f"at step {step} the model does not tell passages apart: the cosines of {len(texts)} passages have a "
                f"standard deviation of {spread:.1e}. Lower the learning rate, or train fewer layers."
            )
