"""Small data: hard labels, contrastive losses, soft labels and `whet tune` on 30 to 300 pairs.

    python benchmarks/small_data.py --sets nl2bash_a --sizes 30 100 300 --seeds 13 14 15
    python benchmarks/small_data.py --table

Training pairs are drawn for each seed from the set's train split. Its dev split is not used, and
its test split is whole. The row `road` is `whet tune` with default settings. Every other row is one
training with that row's loss on the same pairs. It runs to its end, and no score chooses anything.
Teachers are those that need no download: BM25 of words and of characters, and the base model.
`guard` is nDCG@10 on documentation that no row has seen. Texts are read up to MAX_LENGTH tokens, by
base and tuned alike.

A cell is a file in --runs, so an interrupted ladder continues, and several processes can share the
work. The table shows all cells there, and those of earlier ladders in the results.
"""

import argparse
import itertools
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, MAX_LENGTH, RESULTS, machine, merged, share_folder

from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.evaluate.measures import means, per_query
from whet.evaluate.retrieve import DEPTH, ranking_of
from whet.evaluate.significance import compare
from whet.evaluate.space import space_of
from whet.files import read_json, write_json
from whet.models import DEFAULT_MODEL, load_model
from whet.pipeline import build
from whet.records import Collection, Encoder
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.run.results import read_training_result
from whet.search.dense import top_k
from whet.stages.train.attempt import StageFolders, training_data_of
from whet.train.dev import DevSet, ndcg_on
from whet.train.forgetting import forgetting_set
from whet.train.forgetting_config import GuardConfig
from whet.train.trainer import train_model

RESULT = RESULTS / "small_data.json"
MEASURES = ("nDCG@10", "AP@10")
PLAIN = {
    "generate": {"passages": 0},
    "train": {"soft_weight": 0},
    "guard": {"data": "none", "interpolate": False},
}


def soft(labels: str) -> dict[str, Any]:
    """Training on labels alone."""
    return merged(PLAIN, {"train": {"loss": "soft"}, "teach": {"labels": labels}})


ROWS: dict[str, dict[str, Any]] = {
    "hard labels": soft("hard"),
    "InfoNCE + ANCE": merged(PLAIN, {"train": {"loss": "infonce"}}),
    "CLP": PLAIN,
    "soft-1": soft("soft-1"),
    "soft-2": soft("soft-2"),
    "soft-3": soft("soft-3"),
    "CLP + soft-2": merged(PLAIN, {"train": {"soft_weight": 0.5}, "teach": {"labels": "soft-2"}}),
    "road": {},
}
MEANS = ("AP@10", "auc", "auprc", "anisotropy", "guard", "seconds")
Cells = dict[str, Any]
"""Results by `set size row seed`; a row's name may hold spaces."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["eda_tiny", "nl2bash_a", "integreat_en"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[30, 100, 300])
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 14, 15, 16, 17])
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=Path("runs/small_data"))
    parser.add_argument(
        "--table", action="store_true", help="only write and print the table of what is there"
    )
    options = parser.parse_args()
    cells = read_json(RESULT)["cells"] if RESULT.exists() else {}
    if not options.table:
        run_cells(options, cells)
    for path in sorted((options.runs / "cells").glob("*.json")):
        cells[path.stem] = read_json(path)
    lines = table(cells)
    result = {"about": __doc__, "machine": machine(), "table": lines, "cells": cells}
    write_json(RESULT, result)
    print("\n".join(lines))


def run_cells(options: argparse.Namespace, known: Cells) -> None:
    """Run the cells that neither the results nor the folder of cells hold."""
    forgetting = forgetting_set(GuardConfig())
    assert forgetting is not None
    for seed, size, name in itertools.product(options.seeds, options.sizes, options.sets):
        whole, _ = read(DATA / name)
        data = cut(whole, size, seed)
        if data is None:
            continue
        for row in ("base", *options.rows):
            file = options.runs / "cells" / f"{name} {size} {row} {seed}.json"
            if file.stem not in known and not file.exists():
                write_json(file, run_cell(data, name, row, seed, options.runs, forgetting))


def cut(whole: Collection, size: int, seed: int) -> Collection | None:
    """The collection with `size` training pairs, of random whole queries, and no dev split.

    None where it has fewer than nine tenths of that.
    """
    positives = whole.positives("train")
    if len(whole.pairs("train")) < 0.9 * size:
        return None
    queries = list(positives)
    drawn: set[str] = set()
    pairs = 0
    for row in np.random.default_rng([seed, size]).permutation(len(queries)).tolist():
        if pairs < size:
            drawn.add(queries[row])
            pairs += len(positives[queries[row]])
    train = {query: judged for query, judged in whole.qrels["train"].items() if query in drawn}
    qrels = {"train": train, "test": whole.qrels["test"]}
    return replace(whole, name=f"{whole.name}-{size}", qrels=qrels)


def run_cell(
    data: Collection, name: str, row: str, seed: int, runs: Path, forgetting: DevSet
) -> dict[str, Any]:
    """Train one row and measure it; `base` measures the base model."""
    folder = runs / name / f"{data.name}-{row.replace(' ', '-')}-{seed}"
    settings = {} if row == "base" else ROWS[row]
    overrides = merged({"seed": seed, "max_length": MAX_LENGTH}, settings)
    run = open_run(data, DEFAULT_MODEL, folder, overrides=overrides)
    for shared in ("vectors", "scores"):
        share_folder(folder / shared, runs / name / shared)
    decision: dict[str, Any] = {}
    started = time.monotonic()
    if row == "base":
        model = run.base_model
    elif row == "road":
        build(run, "train")
        model = load_model(str(folder / "train" / "model"))
        decision = decision_of(folder)
    else:
        build(run, "teach")
        model = run.fresh_model()
        sources = StageFolders(folder / "mine", folder / "generate", folder / "teach")
        training_data = training_data_of(run, run.collection, sources)
        train_model(model, training_data, None, run.recipe.train, folder / "scratch")
    seconds = time.monotonic() - started
    encoder = run.base_encoder if row == "base" else PackedEncoder(model)
    measured = measure(run, encoder)
    measured["guard"] = ndcg_on(PackedEncoder(model), forgetting)
    for stage in ("scratch", "train", "model"):
        shutil.rmtree(folder / stage, ignore_errors=True)
    pairs = len(run.collection.pairs("train")) + len(run.collection.pairs("dev"))
    return {"pairs": pairs, "seconds": round(seconds, 1), **decision, **measured}


def decision_of(folder: Path) -> dict[str, Any]:
    """What `whet tune` chose: dev scores, interpolation weights, and the one that was taken."""
    result = read_training_result(folder)
    decision: dict[str, Any] = {
        "kept": result.kept,
        "dev_base": result.dev_base,
        "dev_best": result.dev_best,
    }
    if result.line:
        decision["line"] = [asdict(point) for point in result.line]
    decision["share"] = result.share if result.kept == "tuned" else 0.0
    return decision


def measure(run: Run, encoder: Encoder) -> dict[str, Any]:
    """Test measures: nDCG@10 of every query, the mean of AP@10, and the embedding space."""
    collection = run.collection
    query_ids = list(collection.positives("test"))
    queries = encoder.encode_queries([collection.queries[query] for query in query_ids])
    passages = encoder.encode_passages(list(run.passages.values()))
    hits = top_k(queries, passages, DEPTH, backend="exact")
    ranking = ranking_of(hits, query_ids, list(run.passages))
    values = per_query(collection.qrels["test"], ranking, MEASURES)
    space = space_of(queries, passages, collection, "test", np.random.default_rng(0))
    return {
        "AP@10": means(values)["AP@10"],
        **space.to_json(),
        "nDCG@10": {query: round(value, 4) for query, value in values["nDCG@10"].items()},
    }


def table(cells: Cells) -> list[str]:
    """One line a set, size and row: means over seeds, and the difference to base over queries."""
    lines = [
        "| set | pairs | row | seeds | nDCG@10 | over base | 95 % interval | p | AP@10 | AUC "
        "| AUPRC | anisotropy | guard | worst seed | s |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    by_row: dict[tuple[str, int, str], dict[str, Any]] = {}
    for key, cell in cells.items():
        name, pairs, row_and_seed = key.split(" ", 2)
        row, seed = row_and_seed.rsplit(" ", 1)
        by_row.setdefault((name, int(pairs), row), {})[seed] = cell
    sizes = sorted({(name, size) for name, size, _ in by_row})
    for (name, size), row in itertools.product(sizes, ("base", *ROWS)):
        by_seed = by_row.get((name, size, row), {})
        bases = by_row.get((name, size, "base"), {})
        seeds = [seed for seed in by_seed if seed in bases]
        if not seeds:
            continue
        base = bases[seeds[0]]["nDCG@10"]
        of_row = [by_seed[seed] for seed in seeds]
        columns = [name, str(size), row, str(len(seeds)), *figures(of_row, base, row == "base")]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def figures(of_row: list[dict[str, Any]], base: dict[str, float], is_base: bool) -> list[str]:
    """Columns of the table, of the cells of one row; differences are empty for the base model."""
    tuned = {}
    for query in base:
        tuned[query] = float(np.mean([cell["nDCG@10"][query] for cell in of_row]))
    mean = {figure: np.mean([cell[figure] for cell in of_row]) for figure in MEANS}
    difference, interval, p_value, worst = "", "", "", ""
    if not is_base:
        comparison = compare(base, tuned, np.random.default_rng(0))
        low, high = comparison.interval
        difference = f"{100 * comparison.difference:+.1f}"
        interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
        p_value = f"{comparison.p_value:.4f}"
        seed_means = [np.mean(list(cell["nDCG@10"].values())) for cell in of_row]
        worst = f"{100 * (min(seed_means) - np.mean(list(base.values()))):+.1f}"
    return [
        f"{100 * np.mean(list(tuned.values())):.1f}",
        difference,
        interval,
        p_value,
        f"{100 * mean['AP@10']:.1f}",
        f"{mean['auc']:.3f}",
        f"{mean['auprc']:.3f}",
        f"{mean['anisotropy']:.3f}",
        f"{100 * mean['guard']:.1f}",
        worst,
        f"{mean['seconds']:.0f}",
    ]


if __name__ == "__main__":
    main()
