"""What mining anew in the pool costs, and what it misses against the whole corpus, measured and not estimated.

    python benchmarks/refresh_pool.py --set medquad --max-length 128

One training that mines anew twice, in the pool. At each boundary, outside of the run's own time, the whole corpus is
encoded with the same weights: `recall` is the share of its TOP best candidates for every query that the pool held, and
`same negatives` the share of the negatives that training would use of it that the pool gave, too. `pools` says what
pools of other depths would have held, and what share of the corpus's characters they are; what they take from earlier
rounds is the whole corpus's ranking.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine

from whet.artifacts import read_json, write_json
from whet.encoder import PackedEncoder
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.records import Collection
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.run.results import seconds_of
from whet.search.dense import top_k
from whet.train.refresh.mining_job import MiningJob
from whet.train.refresh.pool import Pool, remine
from whet.train.refresh.round_folder import RoundFolder, round_folders

RESULT = RESULTS / "refresh_pool.json"
TOP, DEPTHS, EXACT = 20, (5, 10, 20, 50), "exact.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="medquad")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/refresh_pool"))
    wanted = parser.parse_args()
    settings = {"max_length": wanted.max_length, "refresh": {"times": wanted.times, "cost": "pool"}}
    run = open_run(DATA / wanted.set, DEFAULT_MODEL, wanted.runs / wanted.set, overrides=settings)
    build(run, "mine")
    beside_every_round(run)
    build(run, "train")
    rounds = round_folders(run.path / "train" / "refresh")
    logs = [read_json(one.path / "summary.json") | read_json(one.path / EXACT) for one in rounds]
    beside = sum(log["beside"] for log in logs)
    stages = {
        stage: seconds_of(run.path / stage) or 0.0
        for stage in ("check", "mine", "generate", "teach", "train")
    }
    refreshing, whole = sum(log["seconds"] for log in logs), sum(stages.values()) - beside
    found = read_json(RESULT)["found"] if RESULT.exists() else {}
    found[name := f"{wanted.set} | {wanted.times}"] = {
        "settings": settings,
        "share of the run": round(refreshing / whole, 4),
        "share of the training": round(refreshing / (stages["train"] - beside), 4),
        "seconds": {"refreshing": round(refreshing, 1), "run": round(whole, 1)},
        "rounds": logs,
    }
    write_json(RESULT, {"about": __doc__, "machine": machine(), "found": found})
    print({key: value for key, value in found[name].items() if key != "rounds"})
    for log in logs:
        print(
            {
                key: log[key]
                for key in ("mined_at", "queries", "encoded", "seconds", "recall", "exact", "pools")
            }
        )


def beside_every_round(run: Run) -> None:
    """Let each round of the run be followed by a search of the whole corpus, whose figures lie beside it."""
    queries = list(run.collection.positives("train"))
    asked = run.base_encoder.encode_queries([run.collection.queries[query] for query in queries])
    passages = run.base_encoder.encode_passages(list(run.passages.values()))
    ranks = [top_k(asked, passages, max(DEPTHS)).indices]
    mine = MiningJob.mine

    def both(job: MiningJob, model: Any, folder: RoundFolder) -> None:
        mine(job, model, folder)
        train = {
            query: run.collection.qrels["train"][query] for query in job.collection.positives("train")
        }
        whole = replace(run.collection, qrels={**run.collection.qrels, "train": train})
        began = time.monotonic()
        best = remine(whole, PackedEncoder(model, autocast=job.autocast), job.config, max(DEPTHS))
        full, used = time.monotonic() - began, run.recipe.train.negatives
        theirs = {one.query_id: {n.passage_id for n in one.negatives[:used]} for one in best.mined}
        mined = folder.read_mined()
        same = sum(
            len(theirs[one.query_id] & {n.passage_id for n in one.negatives[:used]})
            for one in mined
        )
        exact = {
            "recall": round(float(np.isin(best.ranks[:, :TOP], job.pool.rows).mean()), 4),
            "same negatives": round(same / sum(map(len, theirs.values())), 4),
            "full's seconds": round(full, 1),
        }
        pools = {
            depth: held(whole, [table[job.rows, :depth] for table in ranks], best.ranks)
            for depth in DEPTHS
        }
        everyone = np.full((len(queries), max(DEPTHS)), -1)
        everyone[job.rows] = best.ranks
        ranks.append(everyone)
        write_json(
            folder.path / EXACT,
            {"exact": exact, "pools": pools, "beside": round(time.monotonic() - began, 2)},
        )

    MiningJob.mine = both


def held(whole: Collection, ranks: list[np.ndarray], best: np.ndarray) -> dict[str, float]:
    """What a pool of these ranks, without a sample, holds of the best, and its share of the corpus's characters."""
    pool = Pool.of(whole, ranks, 0.0, np.random.default_rng(0))
    sizes = np.array([len(passage.content) for passage in whole.passages.values()])
    return {
        "recall": round(float(np.isin(best[:, :TOP], pool.inside).mean()), 4),
        "characters": round(float(sizes[pool.inside].sum() / sizes.sum()), 4),
    }


if __name__ == "__main__":
    main()
