"""SciPy's tests and intervals against plain NumPy, on differences per query of real rankings.

    python benchmarks/significance.py

The differences are between BM25 over character runs and BM25 over words. nl2bash_a's test queries
give the sizes 9, 50 and 745, medquad's test queries 2,000, and its training queries 10,000. Three
roads to p, with 10,000 resamples each:

numpy              signs drawn in batches and multiplied, or all signs of up to 16 differences
permutation_test   scipy.stats.permutation_test with permutation_type="samples"
whet               whet.evaluate.significance: permutation_test up to 16 differences, and
                   scipy.stats.monte_carlo_test for more

Two roads to the interval: numpy (indices drawn, np.quantile) and whet (scipy.stats.bootstrap).
`seconds` are CPU seconds of all five measures, on one thread, `peak_mb` is the most that one
measure's arrays took. `max_difference` is against numpy with the same seed, over the measures and
SEEDS seeds. For it the systems' names are swapped at random on each query: so p takes every value,
and most are not tiny. `noise` is the same difference between numpy and numpy with another seed.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine
from scipy import stats

import whet
from whet.evaluate.measures import MEASURES, per_query
from whet.evaluate.retrieve import ranking_of
from whet.evaluate.significance import RESAMPLES, bootstrap_interval, randomisation_p
from whet.files import write_json
from whet.search.bm25 import Bm25, character_grams, terms

SEEDS = 3
MAX_CHARACTERS = 600  # of a passage that is indexed
BATCH_NUMBERS = 2_000_000
MAX_ENUMERATED = 16
MB = 2**20

Differences = np.ndarray[tuple[int], np.dtype[np.float64]]
Road = Callable[[Differences, np.random.Generator], Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    small = differences_of("nl2bash_a", "test", 745)
    cases = [
        [values[:9] for values in small],
        [values[:50] for values in small],
        small,
        differences_of("medquad", "test", 2000),
        differences_of("medquad", "train", 10_000),
    ]
    rows = []
    for case in cases:
        rows.append(measured(case))
        print(rows[-1])
    versions = {name: version(name) for name in ("numpy", "scipy")}
    result = {
        "about": __doc__,
        "machine": machine() | versions,
        "resamples": RESAMPLES,
        "rows": rows,
    }
    write_json(RESULTS / "significance.json", result)


def differences_of(name: str, split: str, count: int) -> list[Differences]:
    """Differences of the first `count` queries of a split, one array per measure."""
    data = whet.load(DATA / name)
    query_ids = list(data.positives(split))[:count]
    queries = [data.queries[query_id] for query_id in query_ids]
    qrels = {query_id: data.qrels[split][query_id] for query_id in query_ids}
    texts = [passage.content[:MAX_CHARACTERS] for passage in data.passages.values()]
    values = []
    for cut in (terms, character_grams):
        hits = Bm25(texts, cut=cut).top_k(queries, 100)
        values.append(per_query(qrels, ranking_of(hits, query_ids, list(data.passages))))
    words, runs = values
    differences = []
    for measure in MEASURES:
        pairs = zip(words[measure].values(), runs[measure].values(), strict=True)
        differences.append(np.array([after - before for before, after in pairs]))
    return differences


def measured(differences: Sequence[Differences]) -> dict[str, Any]:
    """Time and memory of every road, and how far their figures are apart."""
    row: dict[str, Any] = {
        "queries": len(differences[0]),
        "moved": [int((values != 0).sum()) for values in differences],
        "p": {},
        "interval": {},
    }
    p_roads = {"numpy": p_by_numpy, "permutation_test": p_by_permutations, "whet": randomisation_p}
    interval_roads = {"numpy": interval_by_numpy, "whet": bootstrap_interval}
    for kind, roads in (("p", p_roads), ("interval", interval_roads)):
        reference = roads["numpy"]
        for name, road in roads.items():
            row[kind][name] = cost(road, differences)
            row[kind][name]["max_difference"] = apart(road, reference, differences, 0)
        row[kind]["noise"] = apart(reference, reference, differences, SEEDS)
    return row


def cost(road: Road, differences: Sequence[Differences]) -> dict[str, float]:
    started = time.process_time()
    for values in differences:
        road(values, np.random.default_rng(0))
    seconds = time.process_time() - started
    peaks = []
    for values in differences:
        tracemalloc.start()
        road(values, np.random.default_rng(0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return {"seconds": round(seconds, 3), "peak_mb": round(max(peaks) / MB, 1)}


def apart(road: Road, reference: Road, differences: Sequence[Differences], shift: int) -> float:
    """The largest difference of figures; the reference is seeded `shift` seeds further on."""
    distances = []
    for seed in range(SEEDS):
        swaps = np.random.default_rng([seed, 1])
        for values in differences:
            swapped = values * swaps.choice([-1.0, 1.0], len(values))
            figures = np.array(road(swapped, np.random.default_rng(seed)))
            expected = np.array(reference(swapped, np.random.default_rng(seed + shift)))
            distances.append(float(np.abs(figures - expected).max()))
    return float(f"{max(distances):.2g}")


def batch_rows(width: int) -> int:
    return max(1, BATCH_NUMBERS // max(1, width))


def batches(width: int) -> list[int]:
    step = batch_rows(width)
    return [min(step, RESAMPLES - start) for start in range(0, RESAMPLES, step)]


def p_by_numpy(differences: Differences, rng: np.random.Generator) -> float:
    moved = differences[differences != 0]
    bar = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()
    if len(moved) <= MAX_ENUMERATED:
        sums = np.zeros(1)
        for value in moved:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= bar).mean())
    hits = 0
    for rows in batches(len(moved)):
        signs = rng.integers(0, 2, (rows, len(moved)), dtype=np.int8) * 2.0 - 1.0
        hits += int((np.abs(signs @ moved) >= bar).sum())
    return (hits + 1) / (RESAMPLES + 1)


def p_by_permutations(differences: Differences, rng: np.random.Generator) -> float:
    moved = differences[differences != 0]
    if len(moved) < 2:
        return 1.0
    result = stats.permutation_test(
        (moved,),
        lambda values, axis: np.abs(values.mean(axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**MAX_ENUMERATED if len(moved) <= MAX_ENUMERATED else RESAMPLES,
        batch=batch_rows(len(moved)),
        alternative="greater",
        rng=rng,
    )
    return float(result.pvalue)


def interval_by_numpy(differences: Differences, rng: np.random.Generator) -> tuple[float, float]:
    count = len(differences)
    means = []
    for rows in batches(count):
        drawn = rng.integers(0, count, (rows, count), dtype=np.int32)
        means.append(differences[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
