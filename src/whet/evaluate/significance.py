"""Paired comparison of two systems on the same queries: a randomisation test and an interval.

The test (Fisher's; Smucker, Allan and Carterette, CIKM 2007) asks how often a difference at least
this large appears when the two systems' names are swapped at random on each query. A swap flips the
sign of the query's difference. The interval says how far the mean difference would move on other
samples of such queries. Both take the queries as independent.

SciPy does both. `permutation_test` enumerates all signs of a few differences. Signs of more are
drawn through `monte_carlo_test`, because `permutation_test` flips a sign by shuffling a pair: on
10,000 queries that took ten times as long for the same p (benchmarks/results/significance.json).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.errors import WhetError

RESAMPLES = 10_000
INTERVAL_LEVEL = 0.95
MAX_ENUMERATED = 16  # differences; their 2^16 sign patterns take 0.4 seconds
BATCH_NUMBERS = 2_000_000  # resampled differences in memory at once: 16 MB, of which SciPy copies

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tuned minus base on one measure, over `queries` queries.

    `difference` is the mean, `interval` its 95 % interval, and `p_value` two-sided. `wins`,
    `losses` and `ties` count queries.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    wins: int
    losses: int
    ties: int
    queries: int

    def to_json(self) -> dict[str, Any]:
        """Give all fields, unrounded."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Comparison":
        """Undo `to_json`."""
        low, high = record["interval"]
        return cls(**{**record, "interval": (low, high)})


def compare(
    base: Mapping[str, float],
    tuned: Mapping[str, float],
    rng: np.random.Generator,
) -> Comparison:
    """Compare two systems by their values per query (query id → value).

    Raises WhetError unless both cover the same queries, at least one.

    >>> same = {"q1": 0.5, "q2": 1.0}
    >>> compare(same, same, np.random.default_rng(0)).p_value
    1.0
    """
    if not base or base.keys() != tuned.keys():
        unshared = sorted(base.keys() ^ tuned.keys())[:3]
        raise WhetError(
            f"{len(base)} queries of base, {len(tuned)} of tuned; expected the same ones. "
            f"Only in one: {unshared}"
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
    differences: Floats,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> float:
    """Two-sided p of the sign-flip test on paired differences.

    It is exact for up to MAX_ENUMERATED differences that are not 0. A p from resamples is
    (hits + 1) / (resamples + 1), so it is never 0 and the test stays valid.
    """
    from scipy.stats import monte_carlo_test, permutation_test

    moved = differences[differences != 0]  # flipping the sign of 0 changes nothing
    if len(moved) < 2:  # either sign gives the same size
        return 1.0
    # Two-sided: the size of the mean is compared, so "greater" counts both ends.
    if len(moved) <= MAX_ENUMERATED:
        exact = permutation_test(
            (moved,),
            _size_of_mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**MAX_ENUMERATED,
            alternative="greater",
            rng=rng,
        )
        return float(exact.pvalue)

    def draw(size: tuple[int, ...]) -> Floats:
        coins = rng.integers(0, 2, size, dtype=np.int8)
        signed: Floats = (coins * 2.0 - 1.0) * moved
        return signed

    sampled = monte_carlo_test(
        moved,
        draw,
        _size_of_mean,
        vectorized=True,
        n_resamples=resamples,
        batch=_batch_rows(len(moved)),
        alternative="greater",
    )
    return float(sampled.pvalue)


def bootstrap_interval(
    differences: Floats,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval (Efron) of the mean difference over resampled queries."""
    from scipy.stats import bootstrap

    if len(differences) == 1:  # every resample is the same; SciPy refuses it
        return float(differences[0]), float(differences[0])
    result = bootstrap(
        (differences,),
        np.mean,
        vectorized=True,
        n_resamples=resamples,
        batch=_batch_rows(len(differences)),
        confidence_level=INTERVAL_LEVEL,
        method="percentile",
        rng=rng,
    )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)


def _size_of_mean(differences: Floats, axis: int) -> Floats:
    means: Floats = differences.mean(axis=axis)
    sizes: Floats = np.abs(means)
    return sizes


def _batch_rows(width: int) -> int:
    """How many resamples of `width` differences are in memory at once."""
    return max(1, BATCH_NUMBERS // width)
