"""Does the verdict stay silent where nothing is better? Nulls planted in real rankings, judged on resampled test sets.

    python benchmarks/planted_null.py                        two BM25 settings on integreat_en and nl2bash_a
    python benchmarks/planted_null.py --base base.trec --tuned tuned.trec --qrels test.tsv --name NAME

Every run draws as many test queries as there are, with replacement, and then plants one null:

shuffled   the drawn queries keep their rankings but get each other's judgements. Bar: "better" in at most 1 of 20 runs.
           An easy null: hardly any query finds its passage any more, and values of 0 tie.
as given   nothing is planted; only with run files, for a model that was itself trained on shuffled labels. Same bar.
swapped    on every drawn query a coin decides which ranking is called base and which tuned. The two differ, on many
           queries and by much, and neither is better: the hard case. A sound test of level 0.05 says "better" in 2.5 %
           of such runs, and so in two or more of 20 runs about 9 times in 100. 20 runs cannot tell a sound test from a
           bad one; so this null is repeated often, and its bar is the rate: not shown to be above 2.5 %.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import bm25s
import numpy as np
from scipy.stats import binomtest

from whet.artifacts import write_json
from whet.evaluate.measures import PRIMARY, measurable, per_query
from whet.evaluate.runs import read_trec
from whet.evaluate.significance import Comparison, compare
from whet.evaluate.verdict import verdict
from whet.records import Judgements, Ranking
from whet.search.bm25 import terms

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULT = Path(__file__).parent / "results" / "planted_null.json"
Draw = Callable[[np.random.Generator], Comparison]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        nargs="*",
        default=["integreat_en", "nl2bash_a"],
        help="BEIR folders in shared/data",
    )
    parser.add_argument("--base", type=Path, help="TREC run of the base model")
    parser.add_argument("--tuned", type=Path, help="TREC run of the tuned model")
    parser.add_argument(
        "--qrels", type=Path, help="judgements, BEIR's three columns or TREC's four"
    )
    parser.add_argument("--name", default="given runs")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--swaps", type=int, default=1000, help="runs of the swapped null")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=RESULT, help="results are added to what stands there, by name"
    )
    options = parser.parse_args()
    result = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.base:
        qrels, base, tuned = (
            read_qrels(options.qrels),
            read_trec(options.base),
            read_trec(options.tuned),
        )
        result[options.name] = planted(qrels, base, tuned, options, as_given=True)
    else:
        for name in options.data:
            qrels = read_qrels(DATA / name / "qrels" / "test.tsv")
            base, tuned = (
                bm25(DATA / name, qrels, k1=1.5, b=0.75),
                bm25(DATA / name, qrels, k1=0.9, b=0.4),
            )
            result[f"{name}, BM25 k1 1.5 b 0.75 and k1 0.9 b 0.4"] = planted(
                qrels, base, tuned, options, as_given=False
            )
    write_json(options.out, result)


def planted(
    qrels: Judgements, base: Ranking, tuned: Ranking, options: argparse.Namespace, as_given: bool
) -> dict[str, object]:
    """Run every null and say what the verdicts were."""
    started = time.monotonic()
    qrels = measurable(qrels)
    values = [
        np.array(list(per_query(qrels, ranking, [PRIMARY])[PRIMARY].values()))
        for ranking in (base, tuned)
    ]
    draws: dict[str, Draw] = {"shuffled": lambda rng: shuffled(qrels, base, tuned, rng)}
    if as_given:
        draws["as given"] = lambda rng: compare(*resampled(*values, rng), rng)
    found: dict[str, object] = {
        "queries": len(qrels),
        "queries where the two differ": int((values[0] != values[1]).sum()),
        PRIMARY: [round(float(value.mean()), 4) for value in values],
    }
    for name, draw in draws.items():
        comparisons = repeat(draw, options.runs, options.seed)
        found[name] = tally(comparisons) | {
            "each": [numbers(comparison) for comparison in comparisons]
        }
        print(name, tally(comparisons))
    comparisons = repeat(lambda rng: swapped(*values, rng), options.swaps, options.seed)
    found["swapped"] = tally(comparisons) | error_rate(comparisons)
    print("swapped", found["swapped"])
    return (
        found
        | {"seed": options.seed, "seconds": round(time.monotonic() - started, 1)}
        | surroundings()
    )


def swapped(base: np.ndarray, tuned: np.ndarray, rng: np.random.Generator) -> Comparison:
    drawn = rng.integers(0, len(base), len(base))
    coin = rng.random(len(base)) < 0.5
    first, second = base[drawn], tuned[drawn]
    return compare(named(np.where(coin, second, first)), named(np.where(coin, first, second)), rng)


def shuffled(
    qrels: Judgements, base: Ranking, tuned: Ranking, rng: np.random.Generator
) -> Comparison:
    queries = list(qrels)
    drawn = [queries[i] for i in rng.integers(0, len(queries), len(queries))]
    judged = {str(n): qrels[drawn[other]] for n, other in enumerate(rng.permutation(len(drawn)))}
    before, after = (
        {str(n): ranking.get(query, {}) for n, query in enumerate(drawn)}
        for ranking in (base, tuned)
    )
    return compare(
        per_query(judged, before, [PRIMARY])[PRIMARY],
        per_query(judged, after, [PRIMARY])[PRIMARY],
        rng,
    )


def resampled(
    base: np.ndarray, tuned: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]]:
    drawn = rng.integers(0, len(base), len(base))
    return named(base[drawn]), named(tuned[drawn])


def named(values: np.ndarray) -> dict[str, float]:
    return {str(number): float(value) for number, value in enumerate(values)}


def repeat(draw: Draw, runs: int, seed: int) -> list[Comparison]:
    return [draw(np.random.default_rng([seed, run])) for run in range(runs)]


def tally(comparisons: Sequence[Comparison]) -> dict[str, object]:
    counts = Counter(verdict(found) for found in comparisons)
    return {"runs": len(comparisons)} | {
        word: counts[word] for word in ("better", "worse", "not shown")
    }


def error_rate(comparisons: Sequence[Comparison]) -> dict[str, object]:
    """Give the share of "better" with its exact 95 % interval, and how often 20 runs in a row held more than one."""
    better = [verdict(found) == "better" for found in comparisons]
    interval = binomtest(sum(better), len(better)).proportion_ci()
    batches = [sum(better[start : start + 20]) for start in range(0, len(better), 20)]
    return {
        "rate of better": sum(better) / len(better),
        "its interval": [round(interval.low, 4), round(interval.high, 4)],
        "of 20 runs more than one better": f"{sum(count > 1 for count in batches)} of {len(batches)} times",
    }


def numbers(found: Comparison) -> dict[str, object]:
    ends = [round(end, 4) for end in found.interval]
    return {
        "difference": round(found.difference, 4),
        "interval": ends,
        "p": round(found.p_value, 4),
    }


def bm25(folder: Path, qrels: Judgements, k1: float, b: float, depth: int = 100) -> Ranking:
    """Rank a BEIR folder's passages for the judged queries."""
    passages = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    texts = {
        row["_id"]: row["text"]
        for row in map(json.loads, (folder / "queries.jsonl").open(encoding="utf-8"))
    }
    index = bm25s.BM25(k1=k1, b=b)
    index.index(
        [terms(f"{row.get('title', '')} {row['text']}") for row in passages], show_progress=False
    )
    places, scores = index.retrieve(
        [terms(texts[query]) for query in qrels], k=depth, show_progress=False
    )
    return {
        query: {
            passages[place]["_id"]: float(score)
            for place, score in zip(*row, strict=True)
            if score > 0
        }
        for query, *row in zip(qrels, places, scores, strict=True)
    }


def read_qrels(path: Path) -> Judgements:
    qrels: Judgements = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        query, *_, passage, grade = line.split()
        if grade.lstrip("-").isdigit():  # BEIR's header is not a judgement
            qrels.setdefault(query, {})[passage] = int(grade)
    return qrels


def surroundings() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
    }


if __name__ == "__main__":
    main()
