"""How fast teachers score, and that memory does not grow with the number of pairs.

    python benchmarks/teach_scale.py --set nl2bash_a

Random training queries with random passages, each measure in a process of its own: BM25 of words with 10,000, 100,000
and 1,000,000 pairs, the base model with 100,000. `mb_before` is what the process held when texts and teacher were
ready and some pairs had been scored; `mb_peak` the most it held at any time, storing included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine

from whet.artifacts import write_json
from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.models import DEFAULT_MODEL, load_model
from whet.records import Teacher
from whet.teach.models import EmbeddingTeacher
from whet.teach.named import teacher_of
from whet.teach.pairs import Pairs
from whet.teach.scores import score_pairs

MEASURES = (("bm25", 10_000), ("bm25", 100_000), ("bm25", 1_000_000), ("base", 100_000))
WARM = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="nl2bash_a")
    parser.add_argument(
        "--one", nargs=2, metavar=("TEACHER", "PAIRS"), help="this measure alone, in this process"
    )
    wanted = parser.parse_args()
    if wanted.one:
        print(json.dumps(measure(wanted.set, wanted.one[0], int(wanted.one[1]))))
        return
    rows = []
    for teacher, pairs in MEASURES:
        command = [sys.executable, __file__, "--set", wanted.set, "--one", teacher, str(pairs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    write_json(
        RESULTS / "teach_scale.json",
        {"about": __doc__, "machine": machine(), "set": wanted.set, "rows": rows},
    )


def measure(name: str, teacher_name: str, count: int) -> dict[str, Any]:
    """Score `count` pairs, and time it."""
    collection, _ = read(DATA / name)
    teacher: Teacher
    if teacher_name == "base":  # not by vectors that a run has: here the encoding is measured
        teacher = EmbeddingTeacher(load_model(DEFAULT_MODEL), teacher_name)
    else:
        teacher = teacher_of(teacher_name, collection, PackedEncoder(load_model(DEFAULT_MODEL)))
    rng = np.random.default_rng(0)
    sides = (
        [collection.queries[query] for query in collection.positives("train")],
        [passage.content for passage in collection.passages.values()],
    )
    query, passage = (rng.integers(0, len(side), count) for side in sides)
    teacher.score([sides[0][at] for at in query[:WARM]], [sides[1][at] for at in passage[:WARM]])
    before = peak_mb()
    with tempfile.TemporaryDirectory() as store:
        began = time.monotonic()
        scores = score_pairs(teacher, Pairs(*sides, query, passage), Path(store))
        seconds, peak = time.monotonic() - began, peak_mb()
        stored = sum(path.stat().st_size for path in Path(store).rglob("*.parquet"))
    assert np.isfinite(scores).all()
    return {
        "teacher": teacher_name,
        "pairs": count,
        "distinct": len(set(zip(query.tolist(), passage.tolist(), strict=True))),
        "seconds": round(seconds, 2),
        "pairs_per_second": round(count / seconds),
        "mb_before": before,
        "mb_peak": peak,
        "stored_mb": round(stored / 2**20, 1),
    }


def peak_mb() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
