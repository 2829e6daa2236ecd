"""A model trained on shuffled labels: the evaluation must not call it better.

    python benchmarks/shuffled_labels.py --set eda_tiny

Training and dev queries get each other's judgements, so there is nothing to learn; the trained model is kept by force
and judged on the real test queries, resampled 20 times, by planted_null.py. Bar: "better" at most once.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted_null import RESULT, planted

from whet.artifacts import read_json, write_json
from whet.data.read import load
from whet.evaluate.runs import read_trec
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
    base, tuned = (read_trec(folder / "evaluate" / f"{side}.trec") for side in ("base", "tuned"))
    found = planted(dict(collection.qrels["test"]), base, tuned, options, as_given=True)
    known = read_json(RESULT) if RESULT.exists() else {}
    write_json(RESULT, known | {f"{options.set}, model trained on shuffled labels": found})


def shuffled(collection: Collection, rng: np.random.Generator) -> Collection:
    """Give the training queries each other's judgements, and the dev queries likewise; leave the test alone."""
    qrels = dict(collection.qrels)
    for split in ("train", "dev"):
        queries = list(qrels[split])
        qrels[split] = {
            query: qrels[split][queries[other]]
            for query, other in zip(queries, rng.permutation(len(queries)), strict=True)
        }
    return replace(collection, qrels=qrels)


if __name__ == "__main__":
    main()
