"""The dev set during training: the final evaluation's measures on a pool of passages.

The pool is small enough to be encoded often. It holds every positive of the dev queries, the
passages that BM25 ranks highest for them, and a random sample. It holds nothing that the base model
ranks high: those are the base model's own mistakes, and any other model would look better against
them (docs/LOG.md). Scores on a pool are higher than on the whole corpus. Compare them with each
other only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from whet.encoder import PackedEncoder
from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY, means, per_query
from whet.evaluate.retrieve import retrieve
from whet.files import read_json, write_json
from whet.records import Collection, Encoder, Judgements, Ranking

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_BM25_RANK = 30  # the deepest rank of BM25 that the pool takes in
MIN_QUERIES = 50  # dev queries that are taken whatever the budget
# Share of the budget that positives may take. Where they need more, fewer queries are taken.
POSITIVE_SHARE = 0.5
# Share of what the positives leave of the budget that is kept for random passages.
RANDOM_SHARE = 0.2

FORGETTING = f"guard_{PRIMARY}"  # key of the forgetting check's score
BASE_KEY = "0"  # key of the base model's scores, as of step 0

SPREAD_PASSAGES = 64  # passages whose cosines are compared
MIN_SPREAD = 1e-3  # standard deviation of cosines below which all passages look the same


@dataclass(frozen=True, slots=True)
class DevSet:
    """Queries (id → text), their judgements, and the pool of passages (id → text)."""

    queries: Mapping[str, str]
    qrels: Judgements
    passages: Mapping[str, str]


def dev_set(
    collection: Collection,
    lexical: Ranking,
    rng: np.random.Generator,
    budget: int,
) -> DevSet:
    """Draw the dev queries and their pool.

    `lexical` is BM25's ranking of the dev queries. `budget` is the pool's size in characters. Every
    positive is in the pool. Then come all first ranks of BM25, all second ranks and so on, then
    random passages, until the budget is used up. Where positives would take most of the budget,
    queries are drawn at random, MIN_QUERIES at least.
    """
    positives = _drawn_positives(collection, rng, POSITIVE_SHARE * budget)
    ids = list(collection.passages)
    random_rows = rng.permutation(len(ids)).tolist()
    random_ids = [ids[row] for row in random_rows]

    pool: set[str] = set()
    for passage_ids in positives.values():
        pool.update(passage_ids)
    positive_characters = _characters(collection, pool)
    # At least as much room as positives take, so that they never are the whole pool.
    least_room = (1 / POSITIVE_SHARE - 1) * positive_characters
    room = max(budget - positive_characters, least_room)
    reserve = RANDOM_SHARE * room
    bm25_ids = _rank_by_rank(lexical, positives)
    room = _fill(pool, bm25_ids, collection, room, reserve)
    _fill(pool, random_ids, collection, room, 0.0)

    return DevSet(
        queries={query: collection.queries[query] for query in positives},
        qrels={query: collection.qrels["dev"][query] for query in positives},
        passages={p: collection.passages[p].content for p in ids if p in pool},
    )


def _drawn_positives(
    collection: Collection,
    rng: np.random.Generator,
    room: float,
) -> dict[str, list[str]]:
    """Dev queries and their positives: all, or as many as fit into `room` characters, at random."""
    positives = collection.positives("dev")
    queries = list(positives)
    drawn: set[str] = set()
    used = 0
    for row in rng.permutation(len(queries)).tolist():
        query = queries[row]
        used += _characters(collection, positives[query])
        if used > room and len(drawn) >= MIN_QUERIES:
            break
        drawn.add(query)
    return {query: passages for query, passages in positives.items() if query in drawn}


def _rank_by_rank(lexical: Ranking, queries: Iterable[str]) -> list[str]:
    """Passages by their rank: the first of every query, then the second of every query."""
    rankings = [list(lexical.get(query, {})) for query in queries]
    passages: list[str] = []
    for rank in range(MAX_BM25_RANK):
        passages += [ranking[rank] for ranking in rankings if rank < len(ranking)]
    return passages


def _fill(
    pool: set[str],
    source: Iterable[str],
    collection: Collection,
    room: float,
    reserve: float,
) -> float:
    """Add passages to the pool until only `reserve` of the room is left; returns the room left."""
    for passage in source:
        if room <= reserve:
            break
        if passage not in pool:
            pool.add(passage)
            room -= len(collection.passages[passage].content)
    return room


def _characters(collection: Collection, passages: Iterable[str]) -> int:
    chosen = [collection.passages[passage] for passage in passages]
    return sum(len(passage.content) for passage in chosen)


def ndcg_each(encoder: Encoder, dev: DevSet) -> dict[str, float]:
    """PRIMARY of an encoder for each of the set's queries."""
    ranking = retrieve(encoder, dev.queries, dev.passages)
    return per_query(dev.qrels, ranking, [PRIMARY])[PRIMARY]


def ndcg_on(encoder: Encoder, dev: DevSet) -> float:
    """PRIMARY of an encoder, mean over the set's queries."""
    values = ndcg_each(encoder, dev)
    return means({PRIMARY: values})[PRIMARY]


Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DevScores:
    """Scores of one model, as fractions.

    `per_query` maps a measure to the values of the dev queries, `means` a measure to their mean.
    The forgetting check's mean is among `means`, under the key FORGETTING. `epoch` is how far the
    training was, -1 where that has no meaning.
    """

    epoch: float
    means: Values
    per_query: Mapping[str, Values]

    @property
    def primary(self) -> float:
        """Mean of PRIMARY over the dev queries."""
        return self.means[PRIMARY]

    @property
    def primary_per_query(self) -> Values:
        """PRIMARY of each dev query."""
        return self.per_query[PRIMARY]

    @property
    def forgetting(self) -> float | None:
        """Mean of PRIMARY on the forgetting check; None without one."""
        return self.means.get(FORGETTING)

    def to_json(self) -> dict[str, Any]:
        """Give the object of a file of scores."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "DevScores":
        """Undo `to_json`."""
        return cls(record["epoch"], record["means"], record["per_query"])


class DevEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Scores models on a DevSet and on the forgetting check; writes `folder/KEY.json` each time.

    The trainer calls it with the step at hand, which is then the key.
    """

    def __init__(
        self,
        dev: DevSet,
        folder: Path,
        forgetting: DevSet | None = None,
    ) -> None:
        super().__init__()
        self.dev = dev
        self.folder = folder
        self.forgetting = forgetting
        self.greater_is_better = True
        self.primary_metric = PRIMARY

    def __call__(
        self,
        model: "SentenceTransformer",
        output_path: str | None = None,  # noqa: ARG002 - the trainer's signature
        epoch: float = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Score the model at a step: measure → mean. Raises TrainingError as `score` does."""
        step = max(steps, 0)
        scores = self.score(model, str(step), epoch=epoch, place=f"step {step}")
        return dict(scores.means)

    def score(
        self,
        model: "SentenceTransformer",
        key: str,
        *,
        epoch: float = -1,
        place: str | None = None,
    ) -> DevScores:
        """Score a model and write its scores under a key.

        Raises TrainingError when the model gives all texts much the same vector; `place` says where
        in that message. The base model, under BASE_KEY, is never refused.
        """
        encoder = PackedEncoder(model)
        if key != BASE_KEY:
            self._check_spread(encoder, place or key)
        ranking = retrieve(encoder, self.dev.queries, self.dev.passages)
        values = per_query(self.dev.qrels, ranking)
        mean_values = means(values)
        if self.forgetting is not None:
            mean_values[FORGETTING] = ndcg_on(encoder, self.forgetting)
        scores = DevScores(epoch, mean_values, values)
        write_json(self._file(key), scores.to_json())
        return scores

    def read(self, key: str | int) -> DevScores:
        """Scores that were written under a key, or at a step. Raises ArtifactError without them."""
        file = self._file(str(key))
        return DevScores.from_json(read_json(file))

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _check_spread(self, encoder: PackedEncoder, place: str) -> None:
        """Raise TrainingError when passages cannot be told apart."""
        distinct = dict.fromkeys(self.dev.passages.values())
        texts = list(distinct)[:SPREAD_PASSAGES]
        if len(texts) < 3:  # one pair has no spread
            return
        embeddings = encoder.encode_passages(texts)
        cosines = embeddings @ embeddings.T  # (passage, passage)
        each_pair_once = np.triu_indices(len(texts), 1)
        spread = float(np.std(cosines[each_pair_once]))
        # "not >" and not "<=": NaN is refused too.
        if not spread > MIN_SPREAD:
            raise TrainingError(
                f"at {place} the model does not tell passages apart: the cosines of {len(texts)} "
                f"passages have a standard deviation of {spread:.1e}. Lower the learning rate, or "
                "train fewer layers."
            )
