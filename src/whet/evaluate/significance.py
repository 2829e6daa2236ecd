"""Paired comparison of two systems on the same queries: a randomisation test and a bootstrap interval.

The test (Fisher's; Smucker, Allan & Carterette, CIKM 2007) asks how often a difference at least this large appears when
the two systems' names are swapped at random on each query. The interval says how far the mean difference would move on
other samples of such queries. Both take the queries as independent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.errors import WhetError

RESAMPLES = 10_000
LEVEL = 0.95  # of the intervals
EXACT_UP_TO = 16  # 2^16 sign patterns cost less than the resamples would
BLOCK_CELLS = 2_000_000  # resampled differences held at once: about 16 MB

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tuned minus base on one measure: mean difference, its 95 % interval, two-sided p, and how many queries moved."""

    difference: float
    interval: tuple[float, float]
    p_value: float
    wins: int
    losses: int
    ties: int
    queries: int


def compare(
    base: Mapping[str, float], tuned: Mapping[str, float], rng: np.random.Generator
) -> Comparison:
    """Compare per-query values of two systems; raises WhetError unless both cover the same queries, at least one.

    >>> same = {"q1": 0.5, "q2": 1.0}
    >>> compare(same, same, np.random.default_rng(0)).p_value
    1.0
    """
    if not base or base.keys() != tuned.keys():
        odd = sorted(base.keys() ^ tuned.keys())[:3]
        raise WhetError(
            f"{len(base)} queries of base, {len(tuned)} of tuned; expected the same ones. Only in one: {odd}"
        )
    differences = np.array([tuned[query] - base[query] for query in base])
    return Comparison(
        difference=float(differences.mean()),
        interval=bootstrap_interval(differences, rng),
        p_value=randomisation_p(differences, rng),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        ties=int((differences == 0).sum()),
        queries=len(differences),
    )


def randomisation_p(
    differences: Floats, rng: np.random.Generator, resamples: int = RESAMPLES
) -> float:
    """Two-sided p of the sign-flip test on paired differences: exact up to 16 that are not 0, else by resampling.

    A resampled p is (hits + 1) / (resamples + 1), so it is never 0 and the test stays valid.
    """
    moved = differences[differences != 0]  # flipping the sign of 0 changes nothing
    bar = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()  # equal sums may differ in their last bits
    if len(moved) <= EXACT_UP_TO:
        return float((np.abs(_all_signed_sums(moved)) >= bar).mean())
    hits = sum(
        int(
            (
                np.abs((rng.integers(0, 2, (rows, len(moved)), dtype=np.int8) * 2.0 - 1.0) @ moved)
                >= bar
            ).sum()
        )
        for rows in _blocks(resamples, len(moved))
    )
    return (hits + 1) / (resamples + 1)


def bootstrap_interval(
    differences: Floats, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile bootstrap interval (Efron) of the mean difference over resampled queries."""
    count = len(differences)
    means = [
        differences[rng.integers(0, count, (rows, count), dtype=np.int32)].mean(axis=1)
        for rows in _blocks(resamples, count)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _all_signed_sums(values: Floats) -> Floats:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _blocks(rows: int, width: int) -> Iterator[int]:
    """Cut `rows` into blocks of at most BLOCK_CELLS cells of `width` columns each."""
    step = max(1, BLOCK_CELLS // max(1, width))
    for start in range(0, rows, step):
        yield min(step, rows - start)
