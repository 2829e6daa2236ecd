"""How fast teachers score, and whether memory grows with the number of pairs.

    python benchmarks/teach_scale.py --set nl2bash_a

Pairs of a random training query and a random passage: BM25 of words with 10,000, 100,000 and
1,000,000 pairs, the base model with 100,000. Each measure runs in a process of its own. `mb_before`
is its memory when texts and teacher were ready and some pairs had been scored. `mb_peak` is the
most at any time, with storing.
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
from ladder import DATA, RESULTS, machine

from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.files import write_json
from whet.models import DEFAULT_MODEL, load_model
from whet.records import Teacher
from whet.stage_folder import peak_memory_mb
from whet.teach.models import EmbeddingTeacher
from whet.teach.named import teacher_of
from whet.teach.pairs import Pairs
from whet.teach.scores import score_pairs

MEASURES = (("bm25", 10_000), ("bm25", 100_000), ("bm25", 1_000_000), ("base", 100_000))
WARM_UP_PAIRS = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="nl2bash_a")
    parser.add_argument(
        "--one", nargs=2, metavar=("TEACHER", "PAIRS"), help="this measure alone, in this process"
    )
    options = parser.parse_args()
    if options.one:
        teacher, pairs = options.one
        row = measure(options.set, teacher, int(pairs))
        print(json.dumps(row))
        return
    rows = []
    for teacher, pairs in MEASURES:
        command = [sys.executable, __file__, "--set", options.set]
        command += ["--one", teacher, str(pairs)]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        last_line = process.stdout.splitlines()[-1]
        rows.append(json.loads(last_line))
        print(last_line, flush=True)
    result = {"about": __doc__, "machine": machine(), "set": options.set, "rows": rows}
    write_json(RESULTS / "teach_scale.json", result)


def measure(name: str, teacher_name: str, count: int) -> dict[str, Any]:
    """Score `count` pairs, and time it."""
    collection, _ = read(DATA / name)
    teacher: Teacher
    if teacher_name == "base":  # not a run's stored vectors: encoding is to be measured
        teacher = EmbeddingTeacher(load_model(DEFAULT_MODEL), teacher_name)
    else:
        teacher = teacher_of(teacher_name, collection, PackedEncoder(load_model(DEFAULT_MODEL)))
    rng = np.random.default_rng(0)
    queries = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    query_rows = rng.integers(0, len(queries), count)
    passage_rows = rng.integers(0, len(passages), count)
    first_queries = [queries[row] for row in query_rows[:WARM_UP_PAIRS]]
    first_passages = [passages[row] for row in passage_rows[:WARM_UP_PAIRS]]
    teacher.score(first_queries, first_passages)
    before = peak_memory_mb()
    with tempfile.TemporaryDirectory() as store:
        pairs = Pairs(queries, passages, query_rows, passage_rows)
        started = time.monotonic()
        scores = score_pairs(teacher, pairs, Path(store))
        seconds = time.monotonic() - started
        peak = peak_memory_mb()
        stored = sum(path.stat().st_size for path in Path(store).rglob("*.parquet"))
    assert np.isfinite(scores).all()
    distinct = set(zip(query_rows.tolist(), passage_rows.tolist(), strict=True))
    return {
        "teacher": teacher_name,
        "pairs": count,
        "distinct": len(distinct),
        "seconds": round(seconds, 2),
        "pairs_per_second": round(count / seconds),
        "mb_before": before,
        "mb_peak": peak,
        "stored_mb": round(stored / 2**20, 1),
    }


if __name__ == "__main__":
    main()
