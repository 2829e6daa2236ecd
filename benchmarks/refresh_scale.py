"""Mining anew in a large corpus: seconds and peak memory of the pool and of the whole, by corpus size.

    python benchmarks/refresh_scale.py --sizes 100000 300000 1000000

Passages of 32 made-up words, 2,000 training queries, a random BERT of two layers of 32 as the model. Each size and cost
runs in a process of its own, whose peak memory is told, the corpus's share of it apart. What the pool takes is what
ranked among the first 20 of every query in the round before, the answers, and 2 % of the rest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ladder import RESULTS, machine

from whet.artifacts import peak_memory_mb, write_json
from whet.mine.config import MineConfig
from whet.records import Collection, Passage

RESULT = RESULTS / "refresh_scale.json"
WORDS = [
    f"{first}{second}{third}" for first in "bdfglm" for second in "aeiou" for third in "nrstkz"
]
QUERIES, LENGTH, DEPTH, SAMPLE = 2_000, 32, 20, 0.02


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.one:
        print(json.dumps(measure(int(wanted.one[0]), wanted.one[1])))
        return
    found: dict[str, Any] = {}
    for size in wanted.sizes:
        for cost in ("full", "pool"):
            command = [sys.executable, __file__, "--one", str(size), cost]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            found[f"{size} {cost}"] = json.loads(ended.stdout.splitlines()[-1])
            print(size, cost, found[f"{size} {cost}"])
    write_json(RESULT, {"about": __doc__, "machine": machine(), "found": found})


def measure(size: int, cost: str) -> dict[str, Any]:
    """One refresh; the ranks of the round before are made up: those of a search in a tenth of the corpus."""
    from whet.encoder import PackedEncoder, StoredEncoder
    from whet.train.refresh.pool import Pool, remine

    collection = made_up(size)
    corpus = peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        encoder = StoredEncoder(PackedEncoder(tiny(Path(folder))), Path(folder) / "vectors")
        rng = np.random.default_rng(0)
        before = rng.integers(0, size, (QUERIES, DEPTH))
        began = time.perf_counter()
        pool = Pool.of(collection, [before], SAMPLE, rng) if cost == "pool" else None
        part = pool.part_of(collection) if pool else collection
        found = remine(part, encoder, MineConfig(depth=100, relative_margin=None), DEPTH, pool)
        seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 1),
        "encoded": found.encoded,
        "mined": sum(len(one.negatives) for one in found.mined),
        "peak_memory_mb": peak_memory_mb(),
        "of it before mining": corpus,
    }


def made_up(size: int) -> Collection:
    """Passages of random words, and queries of eight words of one passage each."""
    rng = np.random.default_rng(0)
    passages = {}
    for at in range(size):
        text = " ".join(WORDS[word] for word in rng.integers(0, len(WORDS), LENGTH - 2))
        passages[f"p{at}"] = Passage(f"p{at}", text)
    asked = rng.choice(size, QUERIES, replace=False).tolist()
    queries = {f"q{at}": " ".join(passages[f"p{at}"].text.split()[:8]) for at in asked}
    return Collection(
        "made-up", passages, queries, {"train": {f"q{at}": {f"p{at}": 1} for at in asked}}
    )


def tiny(folder: Path) -> Any:
    """A random model, whose vectors are as good as any for what this measures."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(names), **shape)).save_pretrained(folder / "bert")
    BertTokenizer(vocab={name: at for at, name in enumerate(names)}).save_pretrained(
        folder / "bert"
    )
    modules = [Transformer(str(folder / "bert"), max_seq_length=LENGTH), Pooling(32), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")


if __name__ == "__main__":
    main()
