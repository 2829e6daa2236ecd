"""Small data: what hard labels, contrastive losses, soft labels and whet's own road make of 30, 100 and 300 pairs.

    python benchmarks/small_data.py --sets eda_tiny nl2bash_a integreat_en --sizes 30 100 300 --seeds 13 14 15 16 17
    python benchmarks/small_data.py --table

Training pairs are drawn per seed from the set's train split, its dev split is put aside, and its test split is whole.
`road` is `whet tune` as it comes; every other row is one training with that row's loss on the same pairs, to its end,
every weight kept, with nothing chosen by any score. Teachers are those that need no download: BM25 of words and of
characters, and the base model. `guard` is nDCG@10 on documentation that no row has seen. Texts are read up to
MAX_LENGTH tokens, by base and tuned alike. A cell is a file in --runs, so that an interrupted ladder goes on and
several processes can share the work; the table is made of all that are there, and of those of earlier ladders.
"""

import argparse
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, MAX_LENGTH, RESULTS, machine, merged, share_vectors

from whet.artifacts import read_json, write_json
from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.evaluate.measures import means, per_query
from whet.evaluate.retrieve import DEPTH, ranking_of
from whet.evaluate.significance import compare
from whet.evaluate.space import space_of
from whet.models import DEFAULT_MODEL, load_model
from whet.pipeline import build
from whet.records import Collection, Encoder
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.search.dense import top_k
from whet.stages.train.attempt import StageFolders, training_data_of
from whet.train.forgetting_config import GuardConfig
from whet.train.dev import ndcg_on
from whet.train.forgetting import forgetting_set
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
    wanted = parser.parse_args()
    known = read_json(RESULT)["cells"] if RESULT.exists() else {}
    guard = None if wanted.table else forgetting_set(GuardConfig())
    for seed in () if wanted.table else wanted.seeds:
        for size in wanted.sizes:
            for name in wanted.sets:
                whole, _ = read(DATA / name)
                data = cut(whole, size, seed)
                if data is None:
                    continue
                for row in ("base", *wanted.rows):
                    kept = (
                        wanted.runs
                        / "cells"
                        / f"{name} {data.name.split('-')[-1]} {row} {seed}.json"
                    )
                    if kept.stem not in known and not kept.exists():
                        write_json(kept, cell(data, name, row, seed, wanted.runs, guard))
    cells = known | {
        path.stem: read_json(path) for path in sorted((wanted.runs / "cells").glob("*.json"))
    }
    found = {"about": __doc__, "machine": machine(), "table": table(cells), "cells": cells}
    write_json(RESULT, found)
    print("\n".join(found["table"]))


def cut(whole: Collection, size: int, seed: int) -> Collection | None:
    """The collection with `size` training pairs, whole queries at random, and no dev split; None where it has fewer.

    A set with nearly as many counts as that size.
    """
    positives = whole.positives("train")
    if sum(map(len, positives.values())) < 0.9 * size:
        return None
    queries, drawn, pairs = list(positives), set[str](), 0
    for at in np.random.default_rng([seed, size]).permutation(len(queries)).tolist():
        if pairs < size:
            drawn.add(queries[at])
            pairs += len(positives[queries[at]])
    train = {query: judged for query, judged in whole.qrels["train"].items() if query in drawn}
    return replace(
        whole, name=f"{whole.name}-{size}", qrels={"train": train, "test": whole.qrels["test"]}
    )


def cell(
    data: Collection, name: str, row: str, seed: int, runs: Path, guard: Any
) -> dict[str, Any]:
    """Train one row and measure it; `base` measures the base model."""
    folder = runs / name / f"{data.name}-{row.replace(' ', '-')}-{seed}"
    own = {} if row == "base" else ROWS[row]
    run = open_run(
        data, DEFAULT_MODEL, folder, overrides=merged({"seed": seed, "max_length": MAX_LENGTH}, own)
    )
    share_vectors(folder, runs / name / "vectors")
    (runs / name / "scores").mkdir(exist_ok=True)
    if not (folder / "scores").exists():
        (folder / "scores").symlink_to((runs / name / "scores").resolve(), target_is_directory=True)
    began, more = time.monotonic(), {}
    if row == "base":
        model = run.base_model
    elif row == "road":
        build(run, "train")
        model = load_model(str(folder / "train" / "model"))
        found = read_json(folder / "train" / "result.json")
        more = {key: found[key] for key in ("kept", "dev_base", "dev_best", "line") if key in found}
        more["share"] = found.get("share") if found["kept"] == "tuned" else 0.0
    else:
        build(run, "teach")
        model = run.fresh_model()
        sources = StageFolders(*(folder / stage for stage in ("mine", "generate", "teach")))
        material = training_data_of(run, run.collection, sources)
        train_model(model, material, None, run.recipe.train, folder / "scratch")
    seconds = time.monotonic() - began
    encoder = run.base_encoder if row == "base" else PackedEncoder(model)
    measured = measure(run, encoder) | {"guard": ndcg_on(PackedEncoder(model), guard)}
    for left in ("scratch", "train", "model"):
        shutil.rmtree(folder / left, ignore_errors=True)
    return {"pairs": len(training(run)), "seconds": round(seconds, 1), **more, **measured}


def training(run: Run) -> list[tuple[str, str]]:
    """The run's labelled pairs, whatever it uses them for."""
    return [pair for split in ("train", "dev") for pair in run.collection.pairs(split)]


def measure(run: Run, encoder: Encoder) -> dict[str, Any]:
    """Test measures: nDCG@10 of every query, the mean of AP@10, and the embedding space."""
    queries = {query: run.collection.queries[query] for query in run.collection.positives("test")}
    vectors = (
        encoder.encode_queries(list(queries.values())),
        encoder.encode_passages(list(run.passages.values())),
    )
    ranking = ranking_of(top_k(*vectors, DEPTH, backend="exact"), list(queries), list(run.passages))
    values = per_query(run.collection.qrels["test"], ranking, MEASURES)
    space = space_of(*vectors, run.collection, "test", np.random.default_rng(0))
    return {
        "AP@10": means(values)["AP@10"],
        **asdict(space),
        "nDCG@10": {query: round(found, 4) for query, found in values["nDCG@10"].items()},
    }


def table(cells: dict[str, Any]) -> list[str]:
    """One line a set, size and row: means over seeds, and the difference to base over queries, seeds averaged."""
    lines = [
        "| set | pairs | row | seeds | nDCG@10 | over base | 95 % interval | p | AP@10 | AUC | AUPRC | anisotropy "
        "| guard | worst seed | s |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    keys = [key.rsplit(" ", 1)[0].split(" ", 2) for key in cells]
    order = ["base", *ROWS]
    for name, size in sorted({(name, int(size)) for name, size, _ in keys}):
        for row in order:
            of = [key.rsplit(" ", 1) for key in cells]
            found = {
                seed: cells[f"{cell} {seed}"] for cell, seed in of if cell == f"{name} {size} {row}"
            }
            bases = {seed: cells.get(f"{name} {size} base {seed}") for seed in found}
            found = {seed: one for seed, one in found.items() if bases[seed]}
            if not found:
                continue
            base = next(iter(bases.values()))["nDCG@10"]
            tuned = {
                query: float(np.mean([one["nDCG@10"][query] for one in found.values()]))
                for query in base
            }
            each = [
                np.mean(list(one["nDCG@10"].values())) - np.mean(list(base.values()))
                for one in found.values()
            ]
            mean = {
                key: np.mean([one[key] for one in found.values()])
                for key in next(iter(found.values()))
                if key in SHOWN
            }
            line = f"| {name} | {size} | {row} | {len(found)} | {100 * np.mean(list(tuned.values())):.1f} | "
            if row == "base":
                line += "| | "
            else:
                seen = compare(base, tuned, np.random.default_rng(0))
                low, high = (100 * end for end in seen.interval)
                line += f"{100 * seen.difference:+.1f} | {low:+.1f} to {high:+.1f} | {seen.p_value:.4f} "
            lines.append(
                line + f"| {100 * mean['AP@10']:.1f} | {mean['auc']:.3f} | {mean['auprc']:.3f} | "
                f"{mean['anisotropy']:.3f} | {100 * mean['guard']:.1f} | "
                f"{'' if row == 'base' else f'{100 * min(each):+.1f}'} | {mean['seconds']:.0f} |"
            )
    return lines


SHOWN = ("AP@10", "auc", "auprc", "anisotropy", "guard", "seconds")


if __name__ == "__main__":
    main()
