"""Ladders: the same training with one thing changed from row to row, several seeds, one table.

    python benchmarks/ladder.py selection --sets nl2bash_a integreat_en scifact --seeds 13 14 15
    python benchmarks/ladder.py refresh --sets nl2bash_a scifact --seeds 13 14 15 --against static

and likewise moe (as selection), sources (as refresh), experts, rates and epochs.

`selection`: base / random negatives / ANCE / ANCE+CLP, training the intermediate layers, with one
negative each.
`moe`: ANCE+CLP on all layers / intermediate only / experts with the paper's router / with the
learned one / a dense control of as many trained parameters.
`experts`: the learned router with one of its settings changed from row to row.
`rates`: learning rates of what can be trained.
`sources`: where the positive queries h* of mined negatives come from. Those of other passages in
the batch are the batch's own queries in every row.
`refresh`: negatives as they were mined before training, also for twice as many epochs, so that no
row had more time than they, or re-mined while training goes on.
`epochs`: the same training, longer.

Every cell is an ordinary run of whet under runs/ladder/, so an interrupted ladder goes on where it
stopped. The base model's vectors are shared by a set's cells. Rows train for as many epochs as the
recipe takes, on the sets of ONCE for one, unless they are named otherwise, in batches of 32. Texts
are read up to MAX_LENGTH tokens, by base and tuned alike: the figures are for comparing rows, not
with other papers.

Rows of features that whet no longer has (neighbour batches, masked false negatives, experts for
whole texts) stand in the results only.
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
from scipy.stats import ttest_1samp

from whet.artifacts import peak_memory_mb, read_json, read_jsonl, write_json
from whet.evaluate.significance import compare
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.run.opening import open_run
from whet.run.results import read_experts, read_refreshes

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results"
MAX_LENGTH = 128
ONCE = ("nl2bash_a", "medquad_mini")  # where the recipe takes two epochs


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """One recipe over another, part by part."""
    parts = {**below, **above}
    return {
        key: {**below.get(key, {}), **part} if isinstance(part, dict) else part
        for key, part in parts.items()
    }


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
RATES: Rows = {
    f"{which} {rate:g}": {"train": {"train_only": which, "learning_rate": rate}}
    for which, rates in {
        "all": (5e-5, 1e-4, 2e-4),
        "last-2": (1e-4, 2e-4, 5e-4),
        "intermediate": (1e-4, 2e-4, 5e-4),
    }.items()
    for rate in rates
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
    wanted = parser.parse_args()
    rows = LADDERS[wanted.ladder]
    result = RESULTS / (
        "ladder.json" if wanted.ladder == "selection" else f"ladder_{wanted.ladder}.json"
    )
    cells = read_cells(result)
    if not wanted.table:
        for seed in wanted.seeds:
            for name in wanted.sets:
                for row in wanted.rows or rows:
                    cell = climb(name, row, rows[row], seed, wanted.runs)
                    cells = read_cells(result) | {
                        f"{name} | {row} | {seed}": cell
                    }  # others may have climbed meanwhile
                    found = {
                        "about": __doc__,
                        "machine": machine(),
                        "cells": cells,
                        "table": table(cells, rows),
                    }
                    write_json(result, found)
    print(
        "\n".join([*table(cells, rows), "", *versus(cells, rows, wanted.against or list(rows)[-1])])
    )


def read_cells(result: Path) -> dict[str, Any]:
    return read_json(result)["cells"] if result.exists() else {}


def climb(name: str, row: str, settings: dict[str, Any], seed: int, runs: Path) -> dict[str, Any]:
    """Run one cell; per-query nDCG@10 of base and tuned, and the seconds of its stages."""
    folder = runs / name / f"{row.replace(' ', '-')}-{seed}"
    train = {"seed": seed, "batch_size": 32, "soft_weight": 0}
    train |= {"epochs": 1} if name in ONCE else {}
    off = {"guard": {"data": "none", "interpolate": False}, "refresh": {"times": "off"}}
    fixed = {"max_length": MAX_LENGTH, "mine": {"negatives": 1}, "train": train, **off}
    run = open_run(
        DATA / name, DEFAULT_MODEL, folder, overrides=merged(fixed, settings), force=True
    )
    share_vectors(folder, runs / name / "vectors")
    build(run, "evaluate")
    rows = {
        found["query_id"]: found for found in read_jsonl(folder / "evaluate" / "per_query.jsonl")
    }
    trained = read_json(folder / "train" / "result.json")
    used = read_experts(folder)
    return {
        "commit": machine()["commit"],
        "train": run.recipe.train.model_dump(mode="json"),
        "moe": run.recipe.moe.model_dump(mode="json"),
        "seconds": run.result["seconds"],
        "positives": read_json(folder / "generate" / "summary.json"),
        "refreshes": read_refreshes(folder),
        "peak_memory_mb": peak_memory_mb(),
        "best_step": trained["best_step"],
        "trained_parameters": trained["trained_parameters"],
        "expert_shares": {
            layer.layer: [round(share, 3) for share in layer.share] for layer in used
        },
        "base": {query: round(found["base"], 5) for query, found in rows.items()},
        "tuned": {query: round(found["tuned"], 5) for query, found in rows.items()},
    }


def share_vectors(folder: Path, vectors: Path) -> None:
    """Let the cells of a set keep their vectors in one place: they are stored under what made them."""
    vectors.mkdir(parents=True, exist_ok=True)
    if not (folder / "vectors").exists():
        (folder / "vectors").symlink_to(vectors.resolve(), target_is_directory=True)


def table(cells: dict[str, Any], rows: Rows) -> list[str]:
    """One line a set and row: mean over seeds, its difference to base with interval and p, and what training took."""
    lines = [
        "| set | row | seeds | nDCG@10 | over base | 95 % interval | p | trained M | training s | of it mining anew "
        "| negatives with h* |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in dict.fromkeys(key.split(" | ")[0] for key in cells):
        for row in rows:
            found = [cell for key, cell in cells.items() if key.startswith(f"{name} | {row} | ")]
            if not found:
                continue
            base = found[0]["base"]
            tuned = {
                query: float(np.mean([cell["tuned"][query] for cell in found])) for query in base
            }
            if row == next(iter(rows)):
                lines.append(
                    f"| {name} | base | – | {100 * np.mean(list(base.values())):.1f} | | | | | | | |"
                )
            seen = compare(base, tuned, np.random.default_rng(0))
            low, high = (100 * end for end in seen.interval)
            seconds = np.mean([cell["seconds"]["train"] for cell in found])
            share = np.mean([refreshing(cell) for cell in found])
            millions = found[0].get("trained_parameters", np.nan) / 1e6
            mean = 100 * np.mean(list(tuned.values()))
            lines.append(
                f"| {name} | {row} | {len(found)} | {mean:.1f} | {100 * seen.difference:+.1f} | "
                f"{low:+.1f} to {high:+.1f} | {seen.p_value:.4f} | {millions:.2f} | {seconds:.0f} | {share:.0%} | "
                f"{covered(found[0])} |"
            )
    return lines


def refreshing(cell: dict[str, Any]) -> float:
    """The share of a training's time that went into mining anew, here or in a second process beside it."""
    return float(
        sum(one["seconds"] for one in cell.get("refreshes", [])) / cell["seconds"]["train"]
    )


def covered(cell: dict[str, Any]) -> str:
    """The share of the mined passages that have a positive query."""
    found = cell.get("positives", {})
    return f"{1 - found['none'] / found['passages']:.0%}" if found.get("passages") else "–"


def versus(cells: dict[str, Any], rows: Rows, against: str) -> list[str]:
    """One line a row: its difference to another row, mean over the sets, with a 95 % interval over queries and p.

    Those know nothing of other seeds: each seed's own difference stands beside them, and p of a t-test over seeds.
    """
    lines = [
        f"| row | sets, seeds | against {against} | 95 % interval over queries | p | each seed | p over seeds |",
        "|---|---|--:|--:|--:|---|--:|",
    ]
    rng = np.random.default_rng(0)
    for row in rows:
        both = [key.rsplit(" | ", 2) for key in cells if f" | {row} | " in key]
        both = [(name, seed) for name, _, seed in both if f"{name} | {against} | {seed}" in cells]
        if row == against or not both:
            continue
        found = {pair: difference(cells, pair[0], row, against, pair[1]) for pair in both}
        parts = [
            np.mean([part for (other, _), part in found.items() if other == name], axis=0)
            for name in dict.fromkeys(name for name, _ in both)
        ]
        seen = np.mean([part.mean() for part in parts])
        drawn = np.mean(
            [rng.choice(part, (4000, len(part))).mean(axis=1) for part in parts], axis=0
        )
        signs = [rng.choice([-1.0, 1.0], (4000, len(part))) for part in parts]
        flipped = np.mean(
            [(sign * part).mean(axis=1) for sign, part in zip(signs, parts, strict=True)], axis=0
        )
        low, high = np.percentile(100 * drawn, [2.5, 97.5])
        p_value = (1 + np.sum(np.abs(flipped) >= abs(seen))) / 4001
        lines.append(
            f"| {row} | {len(parts)}, {len(both)} | {100 * seen:+.1f} | {low:+.1f} to {high:+.1f} | {p_value:.4f} | "
            f"{over_seeds(found)} |"
        )
    return lines


def over_seeds(found: dict[tuple[str, str], np.ndarray]) -> str:
    """Each seed's difference, mean over the sets that all seeds have, and the p of a t-test that they are 0."""
    names, seeds = (dict.fromkeys(part) for part in zip(*found, strict=True))
    sets = [name for name in names if all((name, seed) in found for seed in seeds)]
    if not sets:
        return "– | –"
    means = [100 * np.mean([found[name, seed].mean() for name in sets]) for seed in seeds]
    p_value = f"{ttest_1samp(means, 0).pvalue:.3f}" if len(means) > 2 and np.ptp(means) else "–"
    return f"{', '.join(f'{mean:+.1f}' for mean in means)} | {p_value}"


def difference(cells: dict[str, Any], name: str, row: str, against: str, seed: str) -> np.ndarray:
    """Per-query difference of two rows of one set and seed."""
    one, other = (cells[f"{name} | {which} | {seed}"]["tuned"] for which in (row, against))
    return np.array([one[query] - other[query] for query in other])


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
