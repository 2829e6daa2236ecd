"""The ladder: base / random negatives / ANCE / ANCE+CLP / neighbour batches / neighbour+CLP, several seeds, one table.

    python benchmarks/ladder.py --sets nl2bash_a integreat_en scifact --seeds 13 14 15

Every cell is an ordinary run of whet under runs/ladder/, so an interrupted ladder goes on where it stopped; the base
model's vectors are shared by a set's cells. All rows train the same layers at the same learning rate for as many epochs
in batches of 32; rows with explicit negatives have one each. Texts are read up to MAX_LENGTH tokens, by base and
tuned alike, to make the ladder affordable: the figures are for comparing rows, not for comparing with other papers.
"""

import argparse
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from whet.artifacts import read_json, read_jsonl, write_json
from whet.evaluate.significance import compare
from whet.pipeline import build
from whet.run import DEFAULT_MODEL, open_run, peak_memory_mb

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULT = Path(__file__).parent / "results" / "ladder.json"
MAX_LENGTH = 128
ROWS: dict[str, dict[str, Any]] = {
    "random negatives": {"loss": "infonce", "batches": "random", "negatives": 1, "strategy": "random"},
    "ANCE": {"loss": "infonce", "batches": "random", "negatives": 1, "strategy": "ance"},
    "ANCE + CLP": {"loss": "clp", "batches": "random", "negatives": 1, "strategy": "ance"},
    "neighbour batches": {"loss": "infonce", "batches": "neighbour", "negatives": 0, "strategy": "ance"},
    "neighbour batches + CLP": {"loss": "clp", "batches": "neighbour", "negatives": 0, "strategy": "ance"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["nl2bash_a", "integreat_en", "scifact"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 14, 15])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"))
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    wanted = parser.parse_args()
    cells = read_json(RESULT)["cells"] if RESULT.exists() else {}
    if not wanted.table:
        for seed in wanted.seeds:
            for name in wanted.sets:
                for row in wanted.rows:
                    cells[f"{name} | {row} | {seed}"] = climb(name, row, seed, wanted.runs)
                    write_json(RESULT, {"about": __doc__, "machine": machine(), "cells": cells, "table": table(cells)})
    print("\n".join(table(cells)))


def climb(name: str, row: str, seed: int, runs: Path) -> dict[str, Any]:
    """Run one cell; per-query nDCG@10 of base and tuned, and the seconds of its stages."""
    settings = dict(ROWS[row])
    strategy = settings.pop("strategy")
    folder = runs / name / f"{row.replace(' ', '-')}-{seed}"
    overrides = {
        "max_length": MAX_LENGTH,
        "mine": {"strategy": strategy, "negatives": 1},
        "train": {**settings, "seed": seed, "batch_size": 32},
    }
    run = open_run(DATA / name, DEFAULT_MODEL, folder, overrides=overrides, force=True)
    share_vectors(folder, runs / name / "vectors")
    build(run, "evaluate")
    rows = {found["query_id"]: found for found in read_jsonl(folder / "evaluate" / "per_query.jsonl")}
    return {
        "train": run.recipe.train.model_dump(mode="json"),
        "seconds": run.result["seconds"],
        "peak_memory_mb": peak_memory_mb(),
        "best_step": read_json(folder / "train" / "result.json")["best_step"],
        "base": {query: round(found["base"], 5) for query, found in rows.items()},
        "tuned": {query: round(found["tuned"], 5) for query, found in rows.items()},
    }


def share_vectors(folder: Path, vectors: Path) -> None:
    """Let the cells of a set keep their vectors in one place: they are stored under what made them."""
    vectors.mkdir(parents=True, exist_ok=True)
    if not (folder / "vectors").exists():
        (folder / "vectors").symlink_to(vectors.resolve(), target_is_directory=True)


def table(cells: dict[str, Any]) -> list[str]:
    """One line a set and row: mean over seeds, its difference to base with interval and p, and mean training time."""
    lines = [
        "| set | row | seeds | nDCG@10 | over base | 95 % interval | p | training s |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in dict.fromkeys(key.split(" | ")[0] for key in cells):
        for row in ROWS:
            found = [cell for key, cell in cells.items() if key.startswith(f"{name} | {row} | ")]
            if not found:
                continue
            base = found[0]["base"]
            tuned = {query: float(np.mean([cell["tuned"][query] for cell in found])) for query in base}
            if row == next(iter(ROWS)):
                lines.append(f"| {name} | base | – | {100 * np.mean(list(base.values())):.1f} | | | | |")
            seen = compare(base, tuned, np.random.default_rng(0))
            low, high = (100 * end for end in seen.interval)
            seconds = np.mean([cell["seconds"]["train"] for cell in found])
            mean = 100 * np.mean(list(tuned.values()))
            lines.append(
                f"| {name} | {row} | {len(found)} | {mean:.1f} | {100 * seen.difference:+.1f} | "
                f"{low:+.1f} to {high:+.1f} | {seen.p_value:.4f} | {seconds:.0f} |"
            )
    return lines


def machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
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
