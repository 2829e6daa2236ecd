"""A model trained on shuffled labels: the evaluation must not call it better.

    python benchmarks/shuffled_labels.py --set eda_tiny

Training and dev queries get each other's judgements, so there is nothing to learn. `force` keeps
the trained model. planted_null.py judges it on the real test queries, resampled 20 times. Bar:
"better" at most once.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted_null import RESULT, planted

from whet.data.read import load
from whet.evaluate.runs import read_trec
from whet.files import read_json, write_json
from whet.pipeline import tune
from whet.records import Collection

DATA = Path(__file__).parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="eda_tiny")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--swaps", type=int, default=1000, help="as in planted_null.py")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    collection = shuffled(load(DATA / options.set), np.random.default_rng(options.seed))
    folder = Path("runs/shuffled") / options.set
    tune(collection, out=folder, force=True)
    base = read_trec(folder / "evaluate" / "base.trec")
    tuned = read_trec(folder / "evaluate" / "tuned.trec")
    qrels = dict(collection.qrels["test"])
    row = planted(qrels, base, tuned, options, as_given=True)
    result = read_json(RESULT) if RESULT.exists() else {}
    result[f"{options.set}, model trained on shuffled labels"] = row
    write_json(RESULT, result)


def shuffled(collection: Collection, rng: np.random.Generator) -> Collection:
    """Give training queries each other's judgements, and dev queries likewise; test stays."""
    qrels = dict(collection.qrels)
    for split in ("train", "dev"):
        queries = list(qrels[split])
        others = [queries[row] for row in rng.permutation(len(queries))]
        judged = [qrels[split][other] for other in others]
        qrels[split] = dict(zip(queries, judged, strict=True))
    return replace(collection, qrels=qrels)


if __name__ == "__main__":
    main()
