"""The packed encoder against SentenceTransformer.encode: the same vectors, in less time.

    python benchmarks/encoder.py --passages 1000 --rounds 3

Both encode the same passages of scifact, and the short commands of nl2bash_a, by turns in one
process. SentenceTransformer takes batches of 32 texts, its default. The packed encoder takes chunks
of 2,048 padded tokens. The ratio is the median over rounds.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ladder import machine

from whet.data.read import load
from whet.encoder import PackedEncoder
from whet.files import write_json
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
    options = parser.parse_args()
    model = load_model(DEFAULT_MODEL)
    rows = {}
    for name in options.sets:
        rows[name] = race(model, name, options.passages, options.rounds)
    write_json(RESULT, {"about": __doc__, "machine": machine(), "sets": rows})
    for name, row in rows.items():
        ratio = f"{row['ratio']:.2f} times as fast"
        print(f"{name}: {ratio}, largest difference {row['largest_difference']:.1e}")


def race(model: Any, name: str, count: int, rounds: int) -> dict[str, Any]:
    """Seconds of each side and round, their median ratio, and the vectors' largest difference."""
    texts = [passage.content for passage in load(DATA / name).passages.values()]
    rows = np.random.default_rng(0).permutation(len(texts))[:count]
    drawn = [texts[row] for row in rows]
    packed = PackedEncoder(model)
    sides = {
        "packed": lambda: packed.encode(drawn, "document"),
        "plain": lambda: model.encode_document(drawn),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    vectors: dict[str, np.ndarray] = {}
    for turn in range(rounds):
        for side in sorted(sides, reverse=bool(turn % 2)):
            started = time.perf_counter()
            vectors[side] = sides[side]()
            seconds[side].append(round(time.perf_counter() - started, 3))
    both = zip(seconds["packed"], seconds["plain"], strict=True)
    differences = np.abs(vectors["packed"] - vectors["plain"])
    return {
        "passages": len(drawn),
        "seconds": seconds,
        "ratio": median(plain / packed for packed, plain in both),
        "largest_difference": float(differences.max()),
    }


if __name__ == "__main__":
    main()
