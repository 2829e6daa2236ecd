"""Is the verdict "not shown" where nothing is better? Nulls planted in real rankings.

    python benchmarks/planted_null.py
    python benchmarks/planted_null.py --base base.trec --tuned tuned.trec --qrels test.tsv \
        --name NAME

The first call compares two settings of BM25 on integreat_en and nl2bash_a. Every run draws as many
test queries as there are, with replacement, and then plants one null:

shuffled   The drawn queries keep their rankings but get each other's judgements. Bar: "better" in
           at most 1 of 20 runs. An easy null: hardly any query finds its passage any more, and
           values of 0 tie.
as given   Nothing is planted. Only with run files, for a model that was itself trained on shuffled
           labels. The same bar.
swapped    On every drawn query a coin decides which ranking is called base and which tuned. The two
           differ on many queries and by much, and neither is better: the hard case. A sound test of
           level 0.05 says "better" in 2.5 % of such runs, and so in two or more of 20 runs about 9
           times in 100. 20 runs cannot tell a sound test from a bad one. So this null is repeated
           often, and its bar is the rate: not shown to be above 2.5 %.
"""

import argparse
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

from whet.evaluate.measures import PRIMARY, measurable, per_query
from whet.evaluate.runs import read_trec
from whet.evaluate.significance import Comparison, compare
from whet.evaluate.verdict import Verdict, verdict
from whet.files import read_json, read_jsonl, write_json
from whet.records import Judgements, Ranking
from whet.search.bm25 import terms

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULT = Path(__file__).parent / "results" / "planted_null.json"
VERDICTS: Sequence[Verdict] = ("better", "worse", "not shown")
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
        "--out", type=Path, default=RESULT, help="results are added to the file, by name"
    )
    options = parser.parse_args()
    result = read_json(options.out) if options.out.exists() else {}
    if options.base:
        qrels = read_qrels(options.qrels)
        base = read_trec(options.base)
        tuned = read_trec(options.tuned)
        result[options.name] = planted(qrels, base, tuned, options, as_given=True)
    else:
        for name in options.data:
            folder = DATA / name
            qrels = read_qrels(folder / "qrels" / "test.tsv")
            base = bm25(folder, qrels, k1=1.5, b=0.75)
            tuned = bm25(folder, qrels, k1=0.9, b=0.4)
            row = planted(qrels, base, tuned, options, as_given=False)
            result[f"{name}, BM25 k1 1.5 b 0.75 and k1 0.9 b 0.4"] = row
    write_json(options.out, result)


def planted(
    qrels: Judgements, base: Ranking, tuned: Ranking, options: argparse.Namespace, as_given: bool
) -> dict[str, object]:
    """Run every null and count the verdicts."""
    started = time.monotonic()
    qrels = measurable(qrels)
    before = values_of(qrels, base)
    after = values_of(qrels, tuned)
    draws: dict[str, Draw] = {"shuffled": lambda rng: shuffled(qrels, base, tuned, rng)}
    if as_given:
        draws["as given"] = lambda rng: compare(*resampled(before, after, rng), rng)
    result: dict[str, object] = {
        "queries": len(qrels),
        "queries where the two differ": int((before != after).sum()),
        PRIMARY: [round(float(values.mean()), 4) for values in (before, after)],
    }
    for name, draw in draws.items():
        comparisons = repeat(draw, options.runs, options.seed)
        verdicts = tally(comparisons)
        result[name] = verdicts | {"each": [numbers(comparison) for comparison in comparisons]}
        print(name, verdicts)
    comparisons = repeat(lambda rng: swapped(before, after, rng), options.swaps, options.seed)
    result["swapped"] = tally(comparisons) | error_rate(comparisons)
    print("swapped", result["swapped"])
    result["seed"] = options.seed
    result["seconds"] = round(time.monotonic() - started, 1)
    return result | surroundings()


def values_of(qrels: Judgements, ranking: Ranking) -> np.ndarray:
    """PRIMARY of every query."""
    values = per_query(qrels, ranking, [PRIMARY])[PRIMARY]
    return np.array(list(values.values()))


def swapped(base: np.ndarray, tuned: np.ndarray, rng: np.random.Generator) -> Comparison:
    drawn = rng.integers(0, len(base), len(base))
    coin = rng.random(len(base)) < 0.5
    first = base[drawn]
    second = tuned[drawn]
    called_base = named(np.where(coin, second, first))
    called_tuned = named(np.where(coin, first, second))
    return compare(called_base, called_tuned, rng)


def shuffled(
    qrels: Judgements, base: Ranking, tuned: Ranking, rng: np.random.Generator
) -> Comparison:
    queries = list(qrels)
    drawn = [queries[row] for row in rng.integers(0, len(queries), len(queries))]
    judged = {}
    for number, other in enumerate(rng.permutation(len(drawn))):
        judged[str(number)] = qrels[drawn[other]]
    before = per_query(judged, renumbered(base, drawn), [PRIMARY])
    after = per_query(judged, renumbered(tuned, drawn), [PRIMARY])
    return compare(before[PRIMARY], after[PRIMARY], rng)


def renumbered(ranking: Ranking, queries: Sequence[str]) -> Ranking:
    """The rankings of queries under their place in the list; a query may be there twice."""
    return {str(number): ranking.get(query, {}) for number, query in enumerate(queries)}


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
    counts = Counter(verdict(comparison) for comparison in comparisons)
    verdicts: dict[str, object] = {"runs": len(comparisons)}
    for word in VERDICTS:
        verdicts[word] = counts[word]
    return verdicts


def error_rate(comparisons: Sequence[Comparison]) -> dict[str, object]:
    """The share of "better" with its exact 95 % interval.

    Also how many batches of 20 runs have more than one "better".
    """
    better = [verdict(comparison) == "better" for comparison in comparisons]
    interval = binomtest(sum(better), len(better)).proportion_ci()
    batches = [sum(better[start : start + 20]) for start in range(0, len(better), 20)]
    several = sum(count > 1 for count in batches)
    return {
        "rate of better": sum(better) / len(better),
        "its interval": [round(interval.low, 4), round(interval.high, 4)],
        "of 20 runs more than one better": f"{several} of {len(batches)} times",
    }


def numbers(comparison: Comparison) -> dict[str, object]:
    return {
        "difference": round(comparison.difference, 4),
        "interval": [round(end, 4) for end in comparison.interval],
        "p": round(comparison.p_value, 4),
    }


def bm25(folder: Path, qrels: Judgements, k1: float, b: float, depth: int = 100) -> Ranking:
    """Rank a BEIR folder's passages for the judged queries."""
    passages = read_jsonl(folder / "corpus.jsonl")
    texts = {row["_id"]: row["text"] for row in read_jsonl(folder / "queries.jsonl")}
    index = bm25s.BM25(k1=k1, b=b)
    passage_terms = [terms(f"{row.get('title', '')} {row['text']}") for row in passages]
    index.index(passage_terms, show_progress=False)
    query_terms = [terms(texts[query]) for query in qrels]
    rows, scores = index.retrieve(query_terms, k=depth, show_progress=False)
    ranking: Ranking = {}
    for query, query_rows, query_scores in zip(qrels, rows, scores, strict=True):
        ranking[query] = {}
        for row, score in zip(query_rows, query_scores, strict=True):
            if score > 0:
                ranking[query][passages[row]["_id"]] = float(score)
    return ranking


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
