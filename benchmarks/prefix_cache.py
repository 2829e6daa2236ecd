"""The cache of frozen lower layers: seconds of an epoch, trained weights, and encoding.

    python benchmarks/prefix_cache.py --set nl2bash_a --pairs 640 --rounds 3

MiniLM trains its last 2 of 6 layers, or experts in the last 2 layers. Each trains with the cache
and without, by turns in one process. The time of an epoch is that from its first batch to the first
batch of the next. The first epoch fills the cache, and has figures of its own. `difference` is the
largest of any trained weight, in fp32, after all epochs. `encoding` is of passages that the cache
holds already, as in re-mining.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.files import write_json
from whet.models import DEFAULT_MODEL, load_model
from whet.moe.upcycle import upcycle
from whet.records import Collection
from whet.train import trainer
from whet.train.collate import KnownRelevance, Pair, PairCollator
from whet.train.config import TrainConfig
from whet.train.freeze import train_only, without_dropout
from whet.train.moe_config import MoEConfig
from whet.train.prefix import PrefixCache, frozen_below

CacheUse = Literal["auto", "off"]
RESULT = RESULTS / "prefix_cache.json"
EPOCHS = 3
DISK_BYTES = 1 << 36  # more than any cache here takes
BATCH_STARTS: list[float] = []  # times at which the batches of a training began


class TimedCollator(PairCollator):
    """Notes when every batch begins."""

    def __call__(self, rows: Any) -> dict[str, Any]:
        """The batch, as ever."""
        BATCH_STARTS.append(time.perf_counter())
        return super().__call__(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="nl2bash_a")
    parser.add_argument("--pairs", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    collection, _ = read(DATA / options.set)
    pairs = [Pair(*pair) for pair in collection.pairs("train")[: options.pairs]]
    trainer.PairCollator = TimedCollator  # type: ignore[attr-defined]
    rows: dict[str, Any] = {}
    for name, experts in (("last-2", 0), ("experts in the last 2", 2)):
        rows[name] = training(collection, pairs, experts, options.rounds)
        print(name, rows[name])
    rows["encoding"] = encoding(collection, options.rounds)
    print(rows["encoding"])
    result = {
        "about": __doc__,
        "machine": machine(),
        "set": options.set,
        "pairs": len(pairs),
        "epochs": EPOCHS,
        "rounds": options.rounds,
        "found": rows,
    }
    write_json(RESULT, result)


@dataclass(frozen=True)
class Measured:
    """Seconds of the first epoch, mean seconds of the epochs after it, and the trained weights."""

    first: float
    epoch: float
    weights: dict[str, torch.Tensor]


def training(
    collection: Collection, pairs: list[Pair], experts: int, rounds: int
) -> dict[str, float]:
    """Train without the cache and with it, by turns; medians over rounds."""
    off = []
    cached = []
    for _ in range(rounds):
        off.append(train(collection, pairs, experts, "off"))
        cached.append(train(collection, pairs, experts, "auto"))
    both = zip(off, cached, strict=True)
    ratios = [with_cache.epoch / without.epoch for without, with_cache in both]
    differences = []
    for name, weight in cached[0].weights.items():
        difference = (weight - off[0].weights[name]).abs().max()
        differences.append(float(difference))
    return {
        "seconds an epoch, off": median([run.epoch for run in off], 2),
        "seconds an epoch, cached": median([run.epoch for run in cached], 2),
        "first epoch, off": median([run.first for run in off], 2),
        "first epoch, cached": median([run.first for run in cached], 2),
        "ratio": median(ratios, 3),
        "difference": max(differences),
    }


def median(values: list[float], digits: int) -> float:
    return round(float(np.median(values)), digits)


def train(collection: Collection, pairs: list[Pair], experts: int, cache: CacheUse) -> Measured:
    """Train once."""
    model = load_model(DEFAULT_MODEL)
    model.max_seq_length = MAX_LENGTH
    moe = MoEConfig(experts=experts, layers="last-2")
    if experts:
        upcycle(model, moe.layers, moe.site, experts, seed=0)
    config = TrainConfig(
        train_only="moe" if experts else "last-2",
        epochs=EPOCHS,
        precision="fp32",
        prefix_cache=cache,
    )
    data = trainer.TrainingData(collection, pairs, KnownRelevance.of(collection))
    BATCH_STARTS.clear()
    with tempfile.TemporaryDirectory() as folder:
        trainer.train_model(model, data, None, config, Path(folder), moe)
    end = time.perf_counter()
    steps = len(BATCH_STARTS) // EPOCHS  # of an epoch
    second_epoch = BATCH_STARTS[steps]
    weights = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            weights[name] = value.detach().clone()
    first = second_epoch - BATCH_STARTS[0]
    return Measured(first, (end - second_epoch) / (EPOCHS - 1), weights)


def encoding(collection: Collection, rounds: int) -> dict[str, float]:
    """Seconds to encode the passages without the cache, and from it."""
    model = load_model(DEFAULT_MODEL)
    model.max_seq_length = MAX_LENGTH
    train_only(model, "last-2")
    without_dropout(model)
    texts = [passage.content for passage in collection.passages.values()]
    encoder = PackedEncoder(model)
    below = frozen_below(model)
    off = []
    from_cache = []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for _ in range(rounds):
            started = time.perf_counter()
            plain = encoder.encode_passages(texts)
            off.append(time.perf_counter() - started)
            with PrefixCache(model, below, Path(folder) / "hidden", DISK_BYTES):
                encoder.encode_passages(texts)
                started = time.perf_counter()
                cached = encoder.encode_passages(texts)
                from_cache.append(time.perf_counter() - started)
    ratios = [without / with_cache for without, with_cache in zip(off, from_cache, strict=True)]
    return {
        "seconds, off": median(off, 2),
        "seconds, cached": median(from_cache, 2),
        "times as fast": median(ratios, 2),
        "difference": float(np.abs(plain - cached).max()),
    }


if __name__ == "__main__":
    main()
