"""Ladders: the same training with one thing changed from row to row, several seeds, one table.

    python benchmarks/ladder.py selection --sets nl2bash_a integreat_en scifact --seeds 13 14 15
    python benchmarks/ladder.py refresh --sets nl2bash_a scifact --seeds 13 14 15 --against static

The other ladders are moe, experts, rates, sources and epochs.

selection  Random negatives, ANCE, ANCE + CLP: one negative each, training the intermediate layers.
moe        ANCE + CLP on all layers, on the intermediate ones, with experts by the paper's router,
           by the learned router, and a dense control of as many trained parameters.
experts    The learned router, with one of its settings changed in each row.
rates      Learning rates of what can be trained.
sources    Where the positive queries h* of mined negatives come from. Those of other passages in
           the batch are the batch's own queries in every row.
refresh    Negatives as they were mined before training, or re-mined during it. Static rows of more
           epochs have at least the time of the others.
epochs     The same training, longer.

Every cell is an ordinary run of whet under runs/ladder/, so an interrupted ladder continues where
it stopped. The cells of a set share the base model's vectors. Rows train for as many epochs as the
recipe takes, and for one on the sets of ONE_EPOCH, unless their name says otherwise. Batches have
32 pairs. Texts are read up to MAX_LENGTH tokens, by base and tuned alike: the figures compare rows,
and are not for comparison with other papers. A results file may hold cells of rows that are gone.
"""

import argparse
import itertools
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_1samp

from whet.evaluate.significance import compare
from whet.files import read_json, write_json
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.run.opening import open_run
from whet.run.results import (
    read_evaluation,
    read_experts,
    read_refreshes,
    read_training_result,
    stage_seconds,
)
from whet.stage_folder import peak_memory_mb

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results"
MAX_LENGTH = 128
ONE_EPOCH = ("nl2bash_a", "medquad_mini")  # sets on which the recipe takes two
RESAMPLES = 4000

Differences = dict[tuple[str, str], np.ndarray]
"""Per-query differences by set and seed."""

Cells = dict[str, Any]
"""Results by `set | row | seed`."""


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """One recipe over another, part by part."""
    recipe = {}
    for name, part in {**below, **above}.items():
        recipe[name] = {**below.get(name, {}), **part} if isinstance(part, dict) else part
    return recipe


ONE_NEGATIVE = {"negatives": 1}
ANCE_CLP = {"train": {"loss": "clp", **ONE_NEGATIVE}, "mine": {"strategy": "ance"}}
Rows = dict[str, dict[str, Any]]
SELECTION: Rows = {
    "random negatives": {
        "train": {"loss": "infonce", **ONE_NEGATIVE},
        "mine": {"strategy": "random"},
    },
    "ANCE": {"train": {"loss": "infonce", **ONE_NEGATIVE}, "mine": {"strategy": "ance"}},
    "ANCE + CLP": ANCE_CLP,
}
MOE: Rows = {
    "all layers": merged(ANCE_CLP, {"train": {"train_only": "all"}}),
    "intermediate only": ANCE_CLP,
    "experts, reference router": merged(ANCE_CLP, {"moe": {"experts": 2, "router": "reference"}}),
    "experts, learned router": merged(ANCE_CLP, {"moe": {"experts": 2, "router": "learned"}}),
    "dense control": merged(ANCE_CLP, {"train": {"train_only": "intermediate+output"}}),
}
LEARNED = MOE["experts, learned router"]
EXPERTS: Rows = {
    "experts, learned router": LEARNED,
    "gates ten times as fast": merged(LEARNED, {"moe": {"learning_rate": 2e-3}}),
    "all twice as fast": merged(LEARNED, {"train": {"learning_rate": 4e-4}}),
    "no balance loss": merged(LEARNED, {"moe": {"balance_weight": 0.0}}),
    "balance loss 0.1": merged(LEARNED, {"moe": {"balance_weight": 0.1}}),
    "last 2 layers": merged(LEARNED, {"moe": {"layers": "last-2"}}),
    "4 experts": merged(LEARNED, {"moe": {"experts": 4}}),
    "top 2 of 4 experts": merged(LEARNED, {"moe": {"experts": 4, "top_k": 2}}),
}
TRIED_RATES = (
    *itertools.product(["all"], [5e-5, 1e-4, 2e-4]),
    *itertools.product(["last-2", "intermediate"], [1e-4, 2e-4, 5e-4]),
)
RATES: Rows = {
    f"{layers} {rate:g}": {"train": {"train_only": layers, "learning_rate": rate}}
    for layers, rate in TRIED_RATES
}
SOURCES: Rows = {
    "no penalty": merged(ANCE_CLP, {"train": {"loss": "infonce"}}),
    "gold": merged(ANCE_CLP, {"generate": {"sources": ("gold",)}}),
    "offline": merged(ANCE_CLP, {"generate": {"sources": ("extractive",)}}),
    "gold, else offline": ANCE_CLP,
}
REFRESH: Rows = {
    "static": ANCE_CLP,
    "static, 2 epochs": merged(ANCE_CLP, {"train": {"epochs": 2}}),
    "static, 4 epochs": merged(ANCE_CLP, {"train": {"epochs": 4}}),  # the recipe takes 2 on scifact
    "full": merged(ANCE_CLP, {"refresh": {"times": 2, "cost": "full"}}),
    "pool": merged(ANCE_CLP, {"refresh": {"times": 2, "cost": "pool"}}),
    "pool, second process": merged(
        ANCE_CLP, {"refresh": {"times": 2, "cost": "pool", "background": True}}
    ),
    "pool, 2 epochs": merged(
        ANCE_CLP, {"train": {"epochs": 2}, "refresh": {"times": 2, "cost": "pool"}}
    ),
    "auto": merged(ANCE_CLP, {"refresh": {"times": "auto"}}),
}
EPOCHS: Rows = {f"{n} epoch(s)": {"train": {"epochs": n}} for n in (1, 2, 3, 4)}
LADDERS = {
    "selection": SELECTION,
    "moe": MOE,
    "experts": EXPERTS,
    "rates": RATES,
    "sources": SOURCES,
    "refresh": REFRESH,
    "epochs": EPOCHS,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ladder", nargs="?", default="selection", choices=list(LADDERS))
    parser.add_argument("--sets", nargs="+", default=["nl2bash_a", "integreat_en", "scifact"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 14, 15])
    parser.add_argument("--rows", nargs="+", help="only these rows")
    parser.add_argument(
        "--against", help="the row that the others are compared with; by default the last"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"))
    parser.add_argument(
        "--table", action="store_true", help="only print the table of what is there"
    )
    options = parser.parse_args()
    rows = LADDERS[options.ladder]
    suffix = "" if options.ladder == "selection" else f"_{options.ladder}"
    result = RESULTS / f"ladder{suffix}.json"
    chosen = [] if options.table else options.rows or list(rows)
    for seed, name, row in itertools.product(options.seeds, options.sets, chosen):
        cell = run_cell(name, row, rows[row], seed, options.runs)
        cells = read_cells(result)  # another process may have added some meanwhile
        cells[f"{name} | {row} | {seed}"] = cell
        write_result(result, cells, rows)
    cells = read_cells(result)
    against = options.against or list(rows)[-1]
    print("\n".join([*table(cells, rows), "", *versus(cells, rows, against)]))


def read_cells(result: Path) -> Cells:
    return read_json(result)["cells"] if result.exists() else {}


def write_result(result: Path, cells: Cells, rows: Rows) -> None:
    content = {
        "about": __doc__,
        "machine": machine(),
        "cells": cells,
        "table": table(cells, rows),
    }
    write_json(result, content)


def run_cell(
    name: str, row: str, settings: dict[str, Any], seed: int, runs: Path
) -> dict[str, Any]:
    """Run one cell; per-query nDCG@10 of base and tuned, and the seconds of its stages."""
    folder = runs / name / f"{row.replace(' ', '-')}-{seed}"
    train = {"seed": seed, "batch_size": 32, "soft_weight": 0}
    if name in ONE_EPOCH:
        train["epochs"] = 1
    fixed = {
        "max_length": MAX_LENGTH,
        "mine": {"negatives": 1},
        "train": train,
        "guard": {"data": "none", "interpolate": False},
        "refresh": {"times": "off"},
    }
    overrides = merged(fixed, settings)
    run = open_run(DATA / name, DEFAULT_MODEL, folder, overrides=overrides, force=True)
    share_folder(folder / "vectors", runs / name / "vectors")
    build(run, "evaluate")
    _, queries, _ = read_evaluation(folder)
    trained = read_training_result(folder)
    expert_shares = {}
    for layer in read_experts(folder):
        expert_shares[layer.layer] = [round(share, 3) for share in layer.share]
    return {
        "commit": machine()["commit"],
        "train": run.recipe.train.model_dump(mode="json"),
        "moe": run.recipe.moe.model_dump(mode="json"),
        "seconds": stage_seconds(folder),
        "positives": read_json(folder / "generate" / "summary.json"),
        "refreshes": [log.to_json() for log in read_refreshes(folder)],
        "peak_memory_mb": peak_memory_mb(),
        "best_step": trained.best_step,
        "trained_parameters": trained.trained_parameters,
        "expert_shares": expert_shares,
        "base": {query.query_id: round(query.base, 5) for query in queries},
        "tuned": {query.query_id: round(query.tuned, 5) for query in queries},
    }


def share_folder(folder: Path, shared: Path) -> None:
    """Link a folder of a run to one that several runs share.

    Vectors and scores can be shared: they are stored under a fingerprint of what made them.
    """
    shared.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        folder.symlink_to(shared.resolve(), target_is_directory=True)


def table(cells: Cells, rows: Rows) -> list[str]:
    """One line a set and row: mean over seeds, difference to base, interval, p, training costs."""
    lines = [
        "| set | row | seeds | nDCG@10 | over base | 95 % interval | p | trained M | training s "
        "| of it re-mining | negatives with h* |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    names = dict.fromkeys(key.split(" | ")[0] for key in cells)
    for name, row in itertools.product(names, rows):
        of_row = [cell for key, cell in cells.items() if key.startswith(f"{name} | {row} | ")]
        if not of_row:
            continue
        base = of_row[0]["base"]
        if row == next(iter(rows)):
            mean = 100 * np.mean(list(base.values()))
            lines.append(f"| {name} | base | – | {mean:.1f} | | | | | | | |")
        columns = [name, row, str(len(of_row)), *figures(of_row)]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def figures(of_row: list[dict[str, Any]]) -> list[str]:
    """Columns of the table, of the cells of one set and row."""
    base = of_row[0]["base"]
    tuned = {}
    for query in base:
        tuned[query] = float(np.mean([cell["tuned"][query] for cell in of_row]))
    mean = np.mean(list(tuned.values()))
    comparison = compare(base, tuned, np.random.default_rng(0))
    low, high = comparison.interval
    seconds = np.mean([cell["seconds"]["train"] for cell in of_row])
    share = np.mean([remining_share(cell) for cell in of_row])
    millions = of_row[0].get("trained_parameters", np.nan) / 1e6
    return [
        f"{100 * mean:.1f}",
        f"{100 * comparison.difference:+.1f}",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        f"{comparison.p_value:.4f}",
        f"{millions:.2f}",
        f"{seconds:.0f}",
        f"{share:.0%}",
        covered(of_row[0]),
    ]


def remining_share(cell: dict[str, Any]) -> float:
    """Seconds of re-mining, also of that in a second process, as a share of the training's."""
    seconds = sum(log["seconds"] for log in cell.get("refreshes", []))
    return float(seconds / cell["seconds"]["train"])


def covered(cell: dict[str, Any]) -> str:
    """The share of the mined passages that have a positive query."""
    positives = cell.get("positives", {})
    if not positives.get("passages"):
        return "–"
    return f"{1 - positives['none'] / positives['passages']:.0%}"


def versus(cells: Cells, rows: Rows, against: str) -> list[str]:
    """One line a row: its difference to another row, mean over the sets, with interval and p.

    Interval and p are over queries, and tell nothing of other seeds. So the difference of each seed
    comes after them, and the p of a t-test over seeds.
    """
    lines = [
        f"| row | sets, seeds | against {against} | 95 % interval over queries | p | each seed "
        "| p over seeds |",
        "|---|---|--:|--:|--:|---|--:|",
    ]
    rng = np.random.default_rng(0)
    for row in rows:
        differences = differences_of(cells, row, against)
        if row == against or not differences:
            continue
        by_set: dict[str, list[np.ndarray]] = {}
        for (name, _), values in differences.items():
            by_set.setdefault(name, []).append(values)
        set_means = [np.mean(seeds, axis=0) for seeds in by_set.values()]  # over seeds: (query,)
        mean = np.mean([values.mean() for values in set_means])
        low, high, p_value = over_queries(set_means, rng)
        columns = [
            row,
            f"{len(set_means)}, {len(differences)}",
            f"{100 * mean:+.1f}",
            f"{low:+.1f} to {high:+.1f}",
            f"{p_value:.4f}",
            over_seeds(differences),
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def over_queries(
    set_means: list[np.ndarray], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Ends of the 95 % interval, × 100, and p by flipped signs, of the mean over the sets."""
    mean = np.mean([values.mean() for values in set_means])
    drawn = [rng.choice(values, (RESAMPLES, len(values))).mean(axis=1) for values in set_means]
    low, high = np.percentile(100 * np.mean(drawn, axis=0), [2.5, 97.5])
    flipped = []
    for values in set_means:
        signs = rng.choice([-1.0, 1.0], (RESAMPLES, len(values)))
        flipped.append((signs * values).mean(axis=1))
    hits = np.sum(np.abs(np.mean(flipped, axis=0)) >= abs(mean))
    return low, high, (1 + hits) / (RESAMPLES + 1)


def over_seeds(differences: Differences) -> str:
    """Each seed's difference, mean over the sets that all seeds have, and the p of a t-test.

    The test's null is that the differences are 0.
    """
    names = dict.fromkeys(name for name, _ in differences)
    seeds = dict.fromkeys(seed for _, seed in differences)
    sets = [name for name in names if all((name, seed) in differences for seed in seeds)]
    if not sets:
        return "– | –"
    means = [mean_over_sets(differences, sets, seed) for seed in seeds]
    p_value = "–"
    if len(means) > 2 and np.ptp(means):
        p_value = f"{ttest_1samp(means, 0).pvalue:.3f}"
    listed = ", ".join(f"{mean:+.1f}" for mean in means)
    return f"{listed} | {p_value}"


def mean_over_sets(differences: Differences, sets: list[str], seed: str) -> float:
    """Mean difference × 100 of one seed."""
    return float(100 * np.mean([differences[name, seed].mean() for name in sets]))


def differences_of(cells: Cells, row: str, against: str) -> Differences:
    """Per-query differences to another row, for the sets and seeds that both rows have."""
    differences = {}
    for key, cell in cells.items():
        name, row_of_cell, seed = key.rsplit(" | ", 2)
        other = cells.get(f"{name} | {against} | {seed}")
        if row_of_cell == row and other is not None:
            values = [cell["tuned"][query] - value for query, value in other["tuned"].items()]
            differences[name, seed] = np.array(values)
    return differences


def machine() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%F"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
