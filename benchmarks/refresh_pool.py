"""What re-mining in the pool costs, and what it misses of the whole corpus, measured.

    python benchmarks/refresh_pool.py --set medquad --max-length 128

One training that re-mines twice, in the pool. At each boundary the whole corpus is encoded with the
same weights, outside of the run's own time. In `exact`, `recall` is the share of the corpus's TOP
best passages of every query that the pool held. `same negatives` is the share of the negatives that
training would have used after a search of the whole corpus, and that the pool gave too. `pools`
says what pools of other depths would have held, and their share of the corpus's characters. From
earlier rounds they take the ranking of the whole corpus.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ladder import DATA, RESULTS, machine

from whet.encoder import PackedEncoder
from whet.files import read_json, write_json
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.records import Collection, MinedQuery
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.run.results import stage_seconds
from whet.search.dense import top_k
from whet.train.refresh.mining_job import MiningJob
from whet.train.refresh.pool import Pool, remine
from whet.train.refresh.round_folder import RoundFolder, round_folders

RESULT = RESULTS / "refresh_pool.json"
TOP = 20
DEPTHS = (5, 10, 20, 50)
STAGES = ("check", "mine", "generate", "teach", "train")
EXACT = "exact.json"
PRINTED = ("mined_at", "queries", "encoded", "seconds", "recall", "exact", "pools")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="medquad")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/refresh_pool"))
    options = parser.parse_args()
    refresh = {"times": options.times, "cost": "pool"}
    settings = {"max_length": options.max_length, "refresh": refresh}
    folder = options.runs / options.set
    run = open_run(DATA / options.set, DEFAULT_MODEL, folder, overrides=settings)
    build(run, "mine")
    search_whole_corpus_after_rounds(run)
    build(run, "train")
    row = measured(run.path)
    rows = read_json(RESULT)["found"] if RESULT.exists() else {}
    rows[f"{options.set} | {options.times}"] = {"settings": settings} | row
    write_json(RESULT, {"about": __doc__, "machine": machine(), "found": rows})
    logs = row.pop("rounds")
    print(row)
    for log in logs:
        print({key: log[key] for key in PRINTED})


def measured(path: Path) -> dict[str, Any]:
    """Seconds of re-mining and of the run, without those of the whole corpus; the rounds' logs."""
    logs = []
    refreshing = 0.0
    beside = 0.0
    for folder in round_folders(path / "train" / "refresh"):
        round_log = folder.read_log()
        exact = read_json(folder.path / EXACT)
        refreshing += round_log.seconds
        beside += exact["beside"]
        logs.append(round_log.to_json() | exact)
    seconds = stage_seconds(path)
    run_seconds = sum(seconds[stage] for stage in STAGES) - beside
    train_seconds = seconds["train"] - beside
    return {
        "share of the run": round(refreshing / run_seconds, 4),
        "share of the training": round(refreshing / train_seconds, 4),
        "seconds": {"refreshing": round(refreshing, 1), "run": round(run_seconds, 1)},
        "rounds": logs,
    }


def search_whole_corpus_after_rounds(run: Run) -> None:
    """After each round of the run, search the whole corpus too; the figures go to its folder."""
    collection = run.collection
    texts = [collection.queries[query] for query in collection.positives("train")]
    queries = run.base_encoder.encode_queries(texts)
    passages = run.base_encoder.encode_passages(list(run.passages.values()))
    ranks = [top_k(queries, passages, max(DEPTHS)).indices]  # of each round, (query, rank)
    mine_pool = MiningJob.mine

    def mine_both(job: MiningJob, model: Any, folder: RoundFolder) -> None:
        mine_pool(job, model, folder)
        mined_for = job.collection.positives("train")
        train = {query: collection.qrels["train"][query] for query in mined_for}
        whole = replace(collection, qrels={**collection.qrels, "train": train})
        started = time.monotonic()
        encoder = PackedEncoder(model, autocast=job.autocast)
        best = remine(whole, encoder, job.config, max(DEPTHS))
        seconds = time.monotonic() - started
        assert job.pool is not None
        exact = {
            "recall": share_in(best.ranks, job.pool.rows),
            "same negatives": same_negatives(
                best.mined, folder.read_mined(), run.recipe.train.negatives
            ),
            "full's seconds": round(seconds, 1),
        }
        pools = {}
        for depth in DEPTHS:
            pool_ranks = [table[job.rows, :depth] for table in ranks]
            pools[depth] = pool_of_depth(whole, pool_ranks, best.ranks)
        round_ranks = np.full((len(texts), max(DEPTHS)), -1)
        round_ranks[job.rows] = best.ranks
        ranks.append(round_ranks)
        beside = round(time.monotonic() - started, 2)
        write_json(folder.path / EXACT, {"exact": exact, "pools": pools, "beside": beside})

    MiningJob.mine = mine_both  # type: ignore[method-assign, assignment]


def same_negatives(
    of_corpus: Sequence[MinedQuery], of_pool: Sequence[MinedQuery], count: int
) -> float:
    """Share of the first `count` negatives from the whole corpus that the pool gave too."""
    in_corpus = used_negatives(of_corpus, count)
    in_pool = used_negatives(of_pool, count)
    same = sum(len(in_corpus[query] & negatives) for query, negatives in in_pool.items())
    return round(same / sum(map(len, in_corpus.values())), 4)


def used_negatives(mined: Sequence[MinedQuery], count: int) -> dict[str, set[str]]:
    """Query id → ids of its first `count` negatives."""
    used = {}
    for query in mined:
        used[query.query_id] = {negative.passage_id for negative in query.negatives[:count]}
    return used


def share_in(ranks: np.ndarray, rows: np.ndarray) -> float:
    """Share of the TOP best ranks of every query that are among some rows."""
    is_in = np.isin(ranks[:, :TOP], rows)
    return round(float(is_in.mean()), 4)


def pool_of_depth(whole: Collection, ranks: list[np.ndarray], best: np.ndarray) -> dict[str, float]:
    """Recall of a pool of these ranks, without a sample, and its share of the characters."""
    pool = Pool.of(whole, ranks, 0.0, np.random.default_rng(0))
    sizes = np.array([len(passage.content) for passage in whole.passages.values()])
    characters = sizes[pool.inside].sum() / sizes.sum()
    return {
        "recall": share_in(best, pool.inside),
        "characters": round(float(characters), 4),
    }


if __name__ == "__main__":
    main()
