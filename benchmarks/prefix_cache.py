"""The cache of frozen lower layers: seconds per epoch from the second on, weights, and encoding for a refresh.

    python benchmarks/prefix_cache.py --set nl2bash_a --pairs 640 --rounds 3

MiniLM with its last 2 of 6 layers trained, and with experts in the last 2 layers, with the cache and without, by turns
in one process. An epoch's time is that between its first batch and the next epoch's. `difference` is the largest of
any trained weight, in fp32, after all epochs; encoding is that of the passages, once the cache knows them.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.artifacts import write_json
from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.models import DEFAULT_MODEL, load_model
from whet.moe.upcycle import upcycle
from whet.records import Collection
from whet.train import trainer
from whet.train.collate import KnownRelevance, Pair, PairCollator
from whet.train.config import TrainConfig
from whet.train.freeze import train_only, without_dropout
from whet.train.moe_config import MoEConfig
from whet.train.prefix import PrefixCache, frozen_below

RESULT = RESULTS / "prefix_cache.json"
EPOCHS = 3


BEGAN: list[float] = []  # of every batch


class Timed(PairCollator):
    """Notes when every batch begins."""

    def __call__(self, rows: Any) -> dict[str, Any]:
        """What it has always been."""
        BEGAN.append(time.perf_counter())
        return super().__call__(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="nl2bash_a")
    parser.add_argument("--pairs", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    collection = read(DATA / wanted.set)[0]
    pairs = [Pair(*pair) for pair in collection.pairs("train")[: wanted.pairs]]
    trainer.PairCollator = Timed  # type: ignore[misc]
    found: dict[str, Any] = {}
    for name, experts in (("last-2", 0), ("experts in the last 2", 2)):
        runs = [
            {use: train(collection, pairs, experts, use) for use in ("off", "auto")}
            for _ in range(wanted.rounds)
        ]
        ratios = [one["auto"]["epoch"] / one["off"]["epoch"] for one in runs]
        weights = [one["auto"]["weights"] for one in runs[:1]] + [
            one["off"]["weights"] for one in runs[:1]
        ]
        found[name] = {
            "seconds an epoch, off": round(
                float(np.median([one["off"]["epoch"] for one in runs])), 2
            ),
            "seconds an epoch, cached": round(
                float(np.median([one["auto"]["epoch"] for one in runs])), 2
            ),
            "first epoch, off": round(float(np.median([one["off"]["first"] for one in runs])), 2),
            "first epoch, cached": round(
                float(np.median([one["auto"]["first"] for one in runs])), 2
            ),
            "ratio": round(float(np.median(ratios)), 3),
            "difference": max(
                float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0]
            ),
        }
        print(name, found[name])
    found["encoding"] = encoding(collection, wanted.rounds)
    print(found["encoding"])
    about = {"set": wanted.set, "pairs": len(pairs), "epochs": EPOCHS, "rounds": wanted.rounds}
    write_json(RESULT, {"about": __doc__, "machine": machine(), **about, "found": found})


def train(collection: Collection, pairs: list[Pair], experts: int, use: str) -> dict[str, Any]:
    """Train once; seconds of the first epoch and of those after it, and the weights."""
    model = load_model(DEFAULT_MODEL)
    model.max_seq_length = MAX_LENGTH
    moe = MoEConfig(experts=experts, layers="last-2")
    if experts:
        upcycle(model, moe.layers, moe.site, experts, seed=0)
    which = "moe" if experts else "last-2"
    config = TrainConfig(train_only=which, epochs=EPOCHS, precision="fp32", prefix_cache=use)
    material = trainer.TrainingData(collection, pairs, KnownRelevance.of(collection))
    BEGAN.clear()
    with tempfile.TemporaryDirectory() as folder:
        trainer.train_model(model, material, None, config, Path(folder), moe)
    end, steps = time.perf_counter(), len(BEGAN) // EPOCHS
    second = BEGAN[steps]
    weights = {
        name: value.detach().clone()
        for name, value in model.named_parameters()
        if value.requires_grad
    }
    return {"first": second - BEGAN[0], "epoch": (end - second) / (EPOCHS - 1), "weights": weights}


def encoding(collection: Collection, rounds: int) -> dict[str, float]:
    """Seconds to encode the passages without the cache, and from it."""
    model = load_model(DEFAULT_MODEL)
    model.max_seq_length = MAX_LENGTH
    train_only(model, "last-2")
    without_dropout(model)
    texts = [passage.content for passage in collection.passages.values()]
    encoder, took = PackedEncoder(model), {"off": [], "cached": []}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for _ in range(rounds):
            began = time.perf_counter()
            plain = encoder.encode_passages(texts)
            took["off"].append(time.perf_counter() - began)
            with PrefixCache(model, frozen_below(model), Path(folder) / "hidden", 1 << 36):
                encoder.encode_passages(texts)
                began = time.perf_counter()
                cached = encoder.encode_passages(texts)
                took["cached"].append(time.perf_counter() - began)
    ratios = [one / other for one, other in zip(took["off"], took["cached"], strict=True)]
    return {
        "seconds, off": round(float(np.median(took["off"])), 2),
        "seconds, cached": round(float(np.median(took["cached"])), 2),
        "times as fast": round(float(np.median(ratios)), 2),
        "difference": float(np.abs(plain - cached).max()),
    }


if __name__ == "__main__":
    main()
