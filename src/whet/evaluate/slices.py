"""Where the difference comes from: one row per query, and means over kinds of queries.

Slices are for looking, not for proof: they are many, small and overlapping, and nothing corrects
for that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.runs import break_ties
from whet.evaluate.significance import bootstrap_interval
from whet.records import Judgements, Passage, Ranking
from whet.search.bm25 import terms

MIN_QUERIES_FOR_INTERVAL = 10  # resampling fewer gives intervals that are far too narrow

# Classes of queries by their number of positives: label, lowest and highest number.
POSITIVES_CLASSES = (
    ("1", 1, 1),
    ("2–4", 2, 4),
    ("5 or more", 5, float("inf")),
)


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One test query before and after tuning.

    `base` and `tuned` are nDCG@10, `difference` is tuned minus base. Ranks are 1-based, of the
    first positive, and None where none was found. `words` counts the query's terms, as BM25 cuts
    them, and `overlap` is the share of them in the positive that has most. `positives` counts the
    positives, and `positive` is the id of the best one. `base_first` and `tuned_first` are the ids
    of the passages ranked first, "" without any result.
    """

    query_id: str
    text: str
    base: float
    tuned: float
    difference: float
    base_rank: int | None
    tuned_rank: int | None
    words: int
    positives: int
    overlap: float
    positive: str
    base_first: str
    tuned_first: str

    def to_json(self) -> dict[str, Any]:
        """Give all fields, unrounded."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "QueryRow":
        """Undo `to_json`."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class Slice:
    """Queries of one kind: means of base, tuned and their difference, with its 95 % interval.

    The interval is None below 10 queries.
    """

    kind: str
    label: str
    queries: int
    base: float
    tuned: float
    difference: float
    interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Give all fields, unrounded."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Slice":
        """Undo `to_json`."""
        interval = record["interval"]
        if interval is not None:
            low, high = interval
            interval = low, high
        return cls(**{**record, "interval": interval})


def query_rows(
    queries: Mapping[str, str],
    passages: Mapping[str, Passage],
    qrels: Judgements,
    base: Ranking,
    tuned: Ranking,
) -> list[QueryRow]:
    """One row per query that has a positive, in the order of `qrels`."""
    before = per_query(qrels, base, [PRIMARY])[PRIMARY]
    after = per_query(qrels, tuned, [PRIMARY])[PRIMARY]
    rows = []
    for query_id in before:
        words = terms(queries[query_id])
        positives = _best_first(qrels[query_id])
        overlaps = [_overlap(words, passages[passage].content) for passage in positives]
        base_order = _order(base, query_id)
        tuned_order = _order(tuned, query_id)
        row = QueryRow(
            query_id=query_id,
            text=queries[query_id],
            base=before[query_id],
            tuned=after[query_id],
            difference=after[query_id] - before[query_id],
            base_rank=_first_rank(base_order, positives),
            tuned_rank=_first_rank(tuned_order, positives),
            words=len(words),
            positives=len(positives),
            overlap=max(overlaps),
            positive=positives[0],
            base_first=base_order[0] if base_order else "",
            tuned_first=tuned_order[0] if tuned_order else "",
        )
        rows.append(row)
    return rows


def most_changed(rows: Sequence[QueryRow], count: int) -> tuple[list[QueryRow], list[QueryRow]]:
    """Find the queries that gained most and those that lost most, largest change first."""
    gains = [row for row in rows if row.difference > 0]
    losses = [row for row in rows if row.difference < 0]
    gains.sort(key=lambda row: (-row.difference, row.query_id))  # ties by id
    losses.sort(key=lambda row: (row.difference, row.query_id))
    return gains[:count], losses[:count]


def slice_rows(rows: Sequence[QueryRow], rng: np.random.Generator) -> list[Slice]:
    """Slices by query length, by words shared with the nearest positive, by number of positives."""
    slices = []
    for part in _terciles(rows, lambda row: row.words):
        lengths = [row.words for row in part]
        label = f"{_span(lengths)} words"
        slices.append(_mean_slice("Query length", label, part, rng))
    for part in _terciles(rows, lambda row: row.overlap):
        percentages = [100 * row.overlap for row in part]
        label = f"{_span(percentages)} %"
        slices.append(_mean_slice("Query words found in the answer", label, part, rng))
    for label, lowest, highest in POSITIVES_CLASSES:
        part = [row for row in rows if lowest <= row.positives <= highest]
        if part:
            slices.append(_mean_slice("Relevant passages", label, part, rng))
    return slices


def _terciles(
    rows: Sequence[QueryRow],
    key: Callable[[QueryRow], float],
) -> Iterator[list[QueryRow]]:
    """Yield up to three parts in rising order of the key.

    Equal keys stay together, so parts may differ in size or be missing: keys 1 1 1 1 2 3 give
    1 1 1 1, then nothing, then 2 3.
    """
    if not rows:
        return
    keys = [key(row) for row in rows]
    lower = np.quantile(keys, 1 / 3, method="lower")
    upper = np.quantile(keys, 2 / 3, method="lower")
    low: list[QueryRow] = []
    middle: list[QueryRow] = []
    high: list[QueryRow] = []
    for row in sorted(rows, key=key):
        if key(row) <= lower:
            low.append(row)
        elif key(row) <= upper:
            middle.append(row)
        else:
            high.append(row)
    for part in (low, middle, high):
        if part:
            yield part


def _span(values: Sequence[float]) -> str:
    """The smallest and the largest value as whole numbers; one number where they are the same."""
    low = f"{min(values):.0f}"
    high = f"{max(values):.0f}"
    return low if low == high else f"{low}–{high}"


def _mean_slice(kind: str, label: str, rows: Sequence[QueryRow], rng: np.random.Generator) -> Slice:
    base = [row.base for row in rows]
    tuned = [row.tuned for row in rows]
    differences = np.array([row.difference for row in rows])
    interval = None
    if len(rows) >= MIN_QUERIES_FOR_INTERVAL:
        interval = bootstrap_interval(differences, rng)
    return Slice(
        kind=kind,
        label=label,
        queries=len(rows),
        base=float(np.mean(base)),
        tuned=float(np.mean(tuned)),
        difference=float(differences.mean()),
        interval=interval,
    )


def _best_first(judged: Mapping[str, int]) -> list[str]:
    """Ids of the positives, best grade first, ties by id."""
    positives = [passage for passage, grade in judged.items() if grade > 0]
    return sorted(positives, key=lambda passage: (-judged[passage], passage))


def _overlap(words: Sequence[str], passage: str) -> float:
    """The share of the words that are terms of the passage; 0 without words."""
    if not words:
        return 0.0
    known = set(terms(passage))
    shared = [word for word in words if word in known]
    return len(shared) / len(words)


def _order(ranking: Ranking, query_id: str) -> list[str]:
    """The passages of a query, best first."""
    return list(break_ties(ranking.get(query_id, {})))


def _first_rank(order: Sequence[str], positives: Sequence[str]) -> int | None:
    """The 1-based rank of the first positive, None where there is none."""
    for rank, passage in enumerate(order, start=1):
        if passage in positives:
            return rank
    return None
