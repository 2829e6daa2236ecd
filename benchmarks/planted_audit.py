"""The false-negative audit on answers that are known and were hidden.

    python benchmarks/planted_audit.py --sets medquad_mini --tune
    python benchmarks/planted_audit.py --sets medquad --tune --train-queries 2000 --max-length 128

Of the training queries with several answers a share of those answers is taken out of the judgements (one a query
stays). Then `whet audit` with default settings looks for them, before tuning and after it. Recall is over the hidden
answers, and over those of them that are among the candidates that an audit looks at; precision is over all suspects,
of which those that are not hidden may be answers too, for nobody judged them. With --tune the set is tuned three times:
as it was, with the answers hidden, and with the suspects accepted, all of them, as nobody would.
--train-queries keeps no more of a large set's training queries than that, those with several answers first;
passages and test queries stay whole.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine, share_vectors

from whet.artifacts import peak_memory_mb, read_json, write_json
from whet.data.read import read
from whet.data.split import with_splits
from whet.models import DEFAULT_MODEL
from whet.pipeline import build, build_audit
from whet.records import Collection, Judgements
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.stages.audit import find_candidates, read_suspects

RESULT = RESULTS / "planted_audit.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["medquad_mini"])
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--train-queries", type=int, default=10**9)
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/planted_audit"))
    wanted = parser.parse_args()
    found = read_json(RESULT)["sets"] if RESULT.exists() else {}
    for name in wanted.sets:
        rng = np.random.default_rng(wanted.seed)
        whole = cut(with_splits(read(DATA / name)[0], seed=13)[0], wanted.train_queries)
        settings = {"max_length": wanted.max_length}
        collection, hidden = hide(whole, wanted.share, rng)
        run = opened(collection, wanted.runs, name, settings)
        about = {
            "training queries": len(collection.positives("train")),
            "max_length": wanted.max_length,
        }
        kept = (
            wanted.runs / f"{name}-before.json"
        )  # an interrupted call goes on, and may find a tuned model
        if not kept.exists():
            write_json(kept, search(run, hidden))
        found[name] = {
            **about,
            "before tuning": read_json(kept),
            "after tuning": search(build(run, "train"), hidden),
        }
        if wanted.tune:
            marked = accept(
                collection,
                [(one.query_id, one.passage_id) for one in read_suspects(run.path / "audit")],
            )
            tunings = {"as it was": whole, "suspects accepted": marked}
            runs = {
                how: opened(data, wanted.runs, f"{name}-{how}", settings)
                for how, data in tunings.items()
            }
            found[name]["tuned"] = {
                how: tuned(one) for how, one in (runs | {"hidden": run}).items()
            }
        write_json(RESULT, {"about": __doc__, "machine": machine(), "sets": found})
        print(name, found[name])


def cut(whole: Collection, most: int) -> Collection:
    """The collection with at most so many training queries, those with several answers first."""
    positives = whole.positives("train")
    kept = set(sorted(positives, key=lambda query: -len(positives[query]))[:most])
    train = {query: judged for query, judged in whole.qrels["train"].items() if query in kept}
    return replace(whole, qrels={**whole.qrels, "train": train})


def hide(
    collection: Collection, share: float, rng: np.random.Generator
) -> tuple[Collection, set[tuple[str, str]]]:
    """The collection without a share of the answers of its training queries with several, and what was taken out."""
    pairs = [
        (query, passage)
        for query, passages in collection.positives("train").items()
        for passage in passages
        if len(passages) > 1
    ]
    hidden: set[tuple[str, str]] = set()
    left = {query: len(passages) for query, passages in collection.positives("train").items()}
    for at in rng.permutation(len(pairs)):
        query, passage = pairs[at]
        if len(hidden) < share * len(pairs) and left[query] > 1:
            hidden.add((query, passage))
            left[query] -= 1
    train: Judgements = {
        query: {
            passage: grade for passage, grade in judged.items() if (query, passage) not in hidden
        }
        for query, judged in collection.qrels["train"].items()
    }
    return replace(collection, qrels={**collection.qrels, "train": train}), hidden


def search(run: Run, hidden: set[tuple[str, str]]) -> dict[str, Any]:
    """Audit a run and count what it found of what was hidden."""
    folder = build_audit(run).path
    queries, passages = list(run.collection.positives("train")), list(run.passages)
    candidates = find_candidates(run)
    able = hidden & {(queries[query], passages[passage]) for query, passage, _ in candidates}
    suspects = [(one.query_id, one.passage_id) for one in read_suspects(folder)]
    caught = len(hidden.intersection(suspects))
    first = suspects[: len(hidden)]
    return {
        "hidden": len(hidden),
        "among candidates": len(able),
        "candidates": read_json(folder / "summary.json")["candidates"],
        "suspects": len(suspects),
        "precision": round(caught / max(1, len(suspects)), 4),
        "recall": round(caught / len(hidden), 4),
        "recall among candidates": round(caught / max(1, len(able)), 4),
        "precision of as many as were hidden": round(
            len(hidden.intersection(first)) / max(1, len(first)), 4
        ),
        "peak_memory_mb": peak_memory_mb(),
    }


def accept(collection: Collection, pairs: list[tuple[str, str]]) -> Collection:
    """The collection with pairs as positives."""
    train = {query: dict(judged) for query, judged in collection.qrels["train"].items()}
    for query, passage in pairs:
        train[query][passage] = 1
    return replace(collection, qrels={**collection.qrels, "train": train})


def opened(data: Collection, runs: Path, name: str, settings: dict[str, Any]) -> Run:
    """A run whose vectors lie beside those of the others."""
    run = open_run(data, DEFAULT_MODEL, runs / name, overrides=settings)
    share_vectors(run.path, runs / "vectors")
    return run


def tuned(run: Run) -> dict[str, Any]:
    """Tune with default settings; the result's main numbers."""
    result = build(run, "evaluate").result
    return {key: result[key] for key in ("base", "tuned", "interval", "p_value")}


if __name__ == "__main__":
    main()
