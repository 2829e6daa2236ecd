"""The packed encoder against SentenceTransformer.encode: the same vectors, and how much sooner.

    python benchmarks/encoder.py --passages 1000 --rounds 3

Both encode the same passages of scifact (and the short commands of nl2bash_a) in one process, taking turns, the model's
own batch size of 32 against chunks of 2,048 padded tokens. The ratio is the median over rounds.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ladder import machine

from whet.artifacts import write_json
from whet.data.read import load
from whet.encoder import PackedEncoder
from whet.models import DEFAULT_MODEL, load_model

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULT = Path(__file__).parent / "results" / "encoder.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["scifact", "nl2bash_a"])
    parser.add_argument("--passages", type=int, default=1000, help="drawn at random from each set")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    model = load_model(DEFAULT_MODEL)
    found = {name: race(model, name, wanted.passages, wanted.rounds) for name in wanted.sets}
    write_json(RESULT, {"about": __doc__, "machine": machine(), "sets": found})
    for name, row in found.items():
        print(
            f"{name}: {row['ratio']:.2f} times as fast, largest difference {row['largest_difference']:.1e}"
        )


def race(model: Any, name: str, count: int, rounds: int) -> dict[str, Any]:
    """Seconds of each side and round, their median ratio, and the largest difference between the vectors."""
    texts = [passage.content for passage in load(DATA / name).passages.values()]
    drawn = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:count]]
    packed = PackedEncoder(model)
    sides = {
        "packed": lambda: packed.encode(drawn, "document"),
        "plain": lambda: model.encode_document(drawn),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    vectors: dict[str, np.ndarray] = {}
    for turn in range(rounds):
        for side in sorted(sides, reverse=bool(turn % 2)):
            began = time.perf_counter()
            vectors[side] = sides[side]()
            seconds[side].append(round(time.perf_counter() - began, 3))
    return {
        "passages": len(drawn),
        "seconds": seconds,
        "ratio": median(b / a for a, b in zip(seconds["packed"], seconds["plain"], strict=True)),
        "largest_difference": float(np.abs(vectors["packed"] - vectors["plain"]).max()),
    }


if __name__ == "__main__":
    main()
