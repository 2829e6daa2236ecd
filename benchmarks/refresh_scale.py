"""Re-mining in a large corpus: seconds and peak memory, by corpus size, of pool and whole corpus.

    python benchmarks/refresh_scale.py --sizes 100000 300000 1000000

The passages have 32 made-up words. There are 2,000 training queries. The model is a random BERT of
two layers of 32. Each size and cost runs in a process of its own. Its peak memory is recorded, and
the part of it that the corpus takes. The pool holds the first 20 of every query in the round
before, the answers, and 2 % of the rest.
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

from whet.files import write_json
from whet.mine.config import MineConfig
from whet.records import Collection, Passage
from whet.stage_folder import peak_memory_mb

RESULT = RESULTS / "refresh_scale.json"
WORDS = [
    f"{first}{second}{third}" for first in "bdfglm" for second in "aeiou" for third in "nrstkz"
]
QUERIES = 2_000
LENGTH = 32  # tokens of a passage
DEPTH = 20
SAMPLE_SHARE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        size, cost = options.one
        print(json.dumps(measure(int(size), cost)))
        return
    rows: dict[str, Any] = {}
    for size in options.sizes:
        for cost in ("full", "pool"):
            command = [sys.executable, __file__, "--one", str(size), cost]
            process = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(process.stdout.splitlines()[-1])
            rows[f"{size} {cost}"] = row
            print(size, cost, row)
    write_json(RESULT, {"about": __doc__, "machine": machine(), "found": rows})


def measure(size: int, cost: str) -> dict[str, Any]:
    """Re-mine once; the ranks of the round before are random passages."""
    from whet.encoder import PackedEncoder, StoredEncoder
    from whet.train.refresh.pool import Pool, remine

    collection = made_up(size)
    corpus = peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder))
        encoder = StoredEncoder(PackedEncoder(model), Path(folder) / "vectors")
        rng = np.random.default_rng(0)
        ranks = rng.integers(0, size, (QUERIES, DEPTH))
        config = MineConfig(depth=100, relative_margin=None)
        started = time.perf_counter()
        pool = Pool.of(collection, [ranks], SAMPLE_SHARE, rng) if cost == "pool" else None
        searched = pool.part_of(collection) if pool else collection
        remined = remine(searched, encoder, config, DEPTH, pool)
        seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 1),
        "encoded": remined.encoded,
        "mined": sum(len(query.negatives) for query in remined.mined),
        "peak_memory_mb": peak_memory_mb(),
        "of it before mining": corpus,
    }


def made_up(size: int) -> Collection:
    """Passages of random words, and queries of eight words of one passage each."""
    rng = np.random.default_rng(0)
    passages = {}
    for number in range(size):
        words = [WORDS[word] for word in rng.integers(0, len(WORDS), LENGTH - 2)]
        passages[f"p{number}"] = Passage(f"p{number}", " ".join(words))
    queries = {}
    train = {}
    for number in rng.choice(size, QUERIES, replace=False).tolist():
        words = passages[f"p{number}"].text.split()[:8]
        queries[f"q{number}"] = " ".join(words)
        train[f"q{number}"] = {f"p{number}": 1}
    return Collection("made-up", passages, queries, {"train": train})


def tiny_model(folder: Path) -> Any:
    """A model with random weights: time and memory do not depend on what it knows."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokens), **shape))
    bert.save_pretrained(folder / "bert")
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    tokenizer.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=LENGTH)
    modules = [transformer, Pooling(32), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")


if __name__ == "__main__":
    main()
