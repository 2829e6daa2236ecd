"""The false-negative audit on known answers that were hidden.

    python benchmarks/planted_audit.py --sets medquad_mini --tune
    python benchmarks/planted_audit.py --sets medquad --tune --train-queries 2000 --max-length 128

Some training queries have several answers. A share of those answers is taken out of the judgements;
each query keeps at least one. Then `whet audit` looks for them with default settings, before tuning
and after it.

Recall is over the hidden answers, and over those of them that are among the audit's candidates.
Precision is over all suspects. A suspect that was not hidden may be an answer too: nobody has
judged it.

With --tune the set is tuned three times: as it was, with the answers hidden, and with all suspects
accepted. No user would accept all of them. --train-queries limits the training queries of a large
set, those with several answers first. All passages and test queries stay.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine, share_folder

from whet.data.read import read
from whet.data.split import with_splits
from whet.files import read_json, write_json
from whet.models import DEFAULT_MODEL
from whet.pipeline import build, build_audit
from whet.records import Collection, Judgements
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.stage_folder import peak_memory_mb
from whet.stages.audit import find_candidates, read_summary, read_suspects

RESULT = RESULTS / "planted_audit.json"

PairIds = list[tuple[str, str]]  # query id, passage id


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
    options = parser.parse_args()
    rows = read_json(RESULT)["sets"] if RESULT.exists() else {}
    for name in options.sets:
        rows[name] = measure(name, options)
        write_json(RESULT, {"about": __doc__, "machine": machine(), "sets": rows})
        print(name, rows[name])


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Hide answers of one set, and search for them before and after tuning."""
    data, _ = read(DATA / name)
    with_all_splits, _ = with_splits(data, seed=13)
    whole = cut(with_all_splits, options.train_queries)
    settings = {"max_length": options.max_length}
    rng = np.random.default_rng(options.seed)
    collection, hidden = hide(whole, options.share, rng)
    run = opened(collection, options.runs, name, settings)
    # In a file, because an interrupted call that goes on may have a tuned model already.
    before = options.runs / f"{name}-before.json"
    if not before.exists():
        write_json(before, search(run, hidden))
    row = {
        "training queries": len(collection.positives("train")),
        "max_length": options.max_length,
        "before tuning": read_json(before),
        "after tuning": search(build(run, "train"), hidden),
    }
    if options.tune:
        marked = accept(collection, suspects_of(run.path / "audit"))
        as_it_was = opened(whole, options.runs, f"{name}-as it was", settings)
        accepted = opened(marked, options.runs, f"{name}-suspects accepted", settings)
        row["tuned"] = {
            "as it was": tuned(as_it_was),
            "suspects accepted": tuned(accepted),
            "hidden": tuned(run),
        }
    return row


def cut(whole: Collection, limit: int) -> Collection:
    """The collection with at most `limit` training queries, those with several answers first."""
    positives = whole.positives("train")
    most_answers_first = sorted(positives, key=lambda query: -len(positives[query]))
    queries = set(most_answers_first[:limit])
    train = {query: judged for query, judged in whole.qrels["train"].items() if query in queries}
    return replace(whole, qrels={**whole.qrels, "train": train})


def hide(
    collection: Collection, share: float, rng: np.random.Generator
) -> tuple[Collection, set[tuple[str, str]]]:
    """Take out a share of the answers of training queries with several answers.

    Returns the collection without them, and the pairs that were taken out.
    """
    positives = collection.positives("train")
    pairs = []
    for query, passages in positives.items():
        if len(passages) > 1:
            pairs += [(query, passage) for passage in passages]
    hidden: set[tuple[str, str]] = set()
    remaining = {query: len(passages) for query, passages in positives.items()}
    for row in rng.permutation(len(pairs)):
        query, passage = pairs[row]
        if len(hidden) < share * len(pairs) and remaining[query] > 1:
            hidden.add((query, passage))
            remaining[query] -= 1
    train: Judgements = {}
    for query, judged in collection.qrels["train"].items():
        train[query] = {p: grade for p, grade in judged.items() if (query, p) not in hidden}
    return replace(collection, qrels={**collection.qrels, "train": train}), hidden


def search(run: Run, hidden: set[tuple[str, str]]) -> dict[str, Any]:
    """Audit a run, and count how many of the hidden answers are suspects."""
    folder = build_audit(run).path
    queries = list(run.collection.positives("train"))
    passages = list(run.passages)
    candidates = set()
    for candidate in find_candidates(run):
        candidates.add((queries[candidate.query_row], passages[candidate.passage_row]))
    suspects = suspects_of(folder)
    first_suspects = suspects[: len(hidden)]
    among_candidates = len(hidden & candidates)
    caught = len(hidden.intersection(suspects))
    caught_first = len(hidden.intersection(first_suspects))
    return {
        "hidden": len(hidden),
        "among candidates": among_candidates,
        "candidates": read_summary(folder).candidates,
        "suspects": len(suspects),
        "precision": share_of(caught, len(suspects)),
        "recall": share_of(caught, len(hidden)),
        "recall among candidates": share_of(caught, among_candidates),
        "precision of as many as were hidden": share_of(caught_first, len(first_suspects)),
        "peak_memory_mb": peak_memory_mb(),
    }


def share_of(part: int, whole: int) -> float:
    return round(part / max(1, whole), 4)


def suspects_of(folder: Path) -> PairIds:
    """Query id and passage id of each suspect, the most probable first."""
    return [(suspect.query_id, suspect.passage_id) for suspect in read_suspects(folder)]


def accept(collection: Collection, pairs: PairIds) -> Collection:
    """The collection with pairs as positives."""
    train = {query: dict(judged) for query, judged in collection.qrels["train"].items()}
    for query, passage in pairs:
        train[query][passage] = 1
    return replace(collection, qrels={**collection.qrels, "train": train})


def opened(data: Collection, runs: Path, name: str, settings: dict[str, Any]) -> Run:
    """A run that shares its stored vectors with the other runs."""
    run = open_run(data, DEFAULT_MODEL, runs / name, overrides=settings)
    share_folder(run.path / "vectors", runs / "vectors")
    return run


def tuned(run: Run) -> dict[str, Any]:
    """Tune with default settings; the result's main numbers."""
    result = build(run, "evaluate").result
    return {key: result[key] for key in ("base", "tuned", "interval", "p_value")}


if __name__ == "__main__":
    main()
