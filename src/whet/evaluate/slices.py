"""Where the difference comes from: one row per query, and means over kinds of queries.

Slices are for looking, not for proof: they are many, small and overlapping, and nothing corrects for that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.runs import break_ties
from whet.evaluate.significance import bootstrap_interval
from whet.records import Judgements, Passage, Ranking
from whet.search.bm25 import terms

INTERVAL_FROM = 10  # queries; resampling fewer gives intervals that are far too narrow


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One test query before and after; ranks are 1-based, of its first positive, and None where none was found.

    `words` counts the query's terms, as BM25 has them, `overlap` is the share of them in the positive that has most,
    `positive` the best positive's id; `base_first` and `tuned_first` are the ids ranked first ("" for no result).
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


@dataclass(frozen=True, slots=True)
class Slice:
    """Queries of one kind: mean base and tuned, mean difference and its 95 % interval, None below 10 queries."""

    kind: str
    label: str
    queries: int
    base: float
    tuned: float
    difference: float
    interval: tuple[float, float] | None


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
    return [
        _row(
            query,
            queries[query],
            passages,
            qrels[query],
            (before[query], after[query]),
            _order(base, query),
            _order(tuned, query),
        )
        for query in before
    ]


def _row(
    query: str,
    text: str,
    passages: Mapping[str, Passage],
    judged: Mapping[str, int],
    values: tuple[float, float],
    base: Sequence[str],
    tuned: Sequence[str],
) -> QueryRow:
    positives = sorted(
        (passage for passage, grade in judged.items() if grade > 0), key=lambda p: (-judged[p], p)
    )
    words = terms(text)
    overlaps = {p: _overlap(words, passages[p].content) for p in positives}
    nearest = max(positives, key=lambda p: overlaps[p])
    return QueryRow(
        query_id=query,
        text=text,
        base=values[0],
        tuned=values[1],
        difference=values[1] - values[0],
        base_rank=_first_rank(base, positives),
        tuned_rank=_first_rank(tuned, positives),
        words=len(words),
        positives=len(positives),
        overlap=overlaps[nearest],
        positive=positives[0],
        base_first=base[0] if base else "",
        tuned_first=tuned[0] if tuned else "",
    )


def most_changed(rows: Sequence[QueryRow], count: int) -> tuple[list[QueryRow], list[QueryRow]]:
    """Find the queries that gained most and those that lost most, the largest change first, ties by id."""
    wins = sorted(
        (row for row in rows if row.difference > 0), key=lambda row: (-row.difference, row.query_id)
    )
    losses = sorted(
        (row for row in rows if row.difference < 0), key=lambda row: (row.difference, row.query_id)
    )
    return wins[:count], losses[:count]


def slice_rows(rows: Sequence[QueryRow], rng: np.random.Generator) -> list[Slice]:
    """Slices by query length, by words shared with the nearest positive, and by number of positives."""
    parts = [
        *(
            ("Query length", f"{_span(part[0].words, part[-1].words)} words", part)
            for part in _terciles(rows, lambda row: row.words)
        ),
        *(
            (
                "Query words found in the answer",
                f"{_span(100 * part[0].overlap, 100 * part[-1].overlap)} %",
                part,
            )
            for part in _terciles(rows, lambda row: row.overlap)
        ),
        *(
            ("Relevant passages", label, [row for row in rows if least <= row.positives <= most])
            for label, least, most in (("1", 1, 1), ("2–4", 2, 4), ("5 or more", 5, np.inf))
        ),
    ]
    return [_mean_slice(kind, label, part, rng) for kind, label, part in parts if part]


def _terciles(rows: Sequence[QueryRow], key: Callable[[QueryRow], float]) -> list[list[QueryRow]]:
    """Three parts in rising order of the key; equal keys stay together, so parts may differ in size or be missing."""
    if not rows:
        return []
    lower, upper = np.quantile([key(row) for row in rows], [1 / 3, 2 / 3], method="lower")
    rising = sorted(rows, key=key)
    parts = [
        [row for row in rising if key(row) <= lower],
        [row for row in rising if lower < key(row) <= upper],
        [row for row in rising if key(row) > upper],
    ]
    return [part for part in parts if part]


def _span(low: float, high: float) -> str:
    return f"{low:.0f}" if f"{low:.0f}" == f"{high:.0f}" else f"{low:.0f}–{high:.0f}"


def _mean_slice(kind: str, label: str, rows: Sequence[QueryRow], rng: np.random.Generator) -> Slice:
    differences = np.array([row.difference for row in rows])
    return Slice(
        kind=kind,
        label=label,
        queries=len(rows),
        base=float(np.mean([row.base for row in rows])),
        tuned=float(np.mean([row.tuned for row in rows])),
        difference=float(differences.mean()),
        interval=bootstrap_interval(differences, rng) if len(rows) >= INTERVAL_FROM else None,
    )


def _overlap(words: Sequence[str], passage: str) -> float:
    known = set(terms(passage))
    return sum(word in known for word in words) / len(words) if words else 0.0


def _order(ranking: Ranking, query: str) -> list[str]:
    return list(break_ties(ranking.get(query, {})))


def _first_rank(order: Sequence[str], positives: Sequence[str]) -> int | None:
    return next((rank for rank, passage in enumerate(order, start=1) if passage in positives), None)
