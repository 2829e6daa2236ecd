"""One round of mining anew, as a folder: the job, what was mined, and since when it is used.

Where a second process mines, its job and `job.json` come first; then `negatives.jsonl`, `ranks.npy` and
`mined.json`; then `queries.jsonl`, the positive queries of new negatives, and `summary.json`, which makes it a round.
Of each group the last is written when all the others are there.

    python -m whet.train.refresh.round_folder FOLDER PARENT        mine a job in a process of its own
"""

import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whet.artifacts import SCRATCH, VECTORS, read_json, write_json
from whet.encoder.packed import PackedEncoder, StoredEncoder
from whet.generate.positives import read_positive_queries, write_positive_queries
from whet.mine.config import MineConfig
from whet.mine.mined import read_mined, write_mined
from whet.records import Collection, PositiveQuery
from whet.train.refresh.pool import Pool, Ranks, remine

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SUMMARY, MINED, JOB_ABOUT, LOG = "summary.json", "mined.json", "job.json", "log.txt"
MODEL, JOB = f"{SCRATCH}/model", f"{SCRATCH}/job.pickle"


@dataclass(frozen=True, slots=True)
class Job:
    """What to mine: the training queries of `part`, which are `rows` of all `queries`, in the pool or the corpus."""

    part: Collection
    rows: np.ndarray
    queries: int
    pool: Pool | None
    config: MineConfig
    depth: int
    autocast: torch.dtype | None
    about: Mapping[str, Any]

    def mine(self, model: "SentenceTransformer", folder: Path) -> None:
        """Mine with a model's weights, and leave what was found in the round's folder.

        Vectors are kept until all is there, so that mining that was broken off goes on.
        """
        began = time.monotonic()
        encoder = StoredEncoder(PackedEncoder(model, autocast=self.autocast), folder / VECTORS)
        found = remine(self.part, encoder, self.config, self.depth, self.pool)
        write_mined(folder / "negatives.jsonl", found.mined)
        ranks = np.full((self.queries, found.ranks.shape[1]), -1)
        ranks[self.rows] = found.ranks
        np.save(folder / "ranks.npy", ranks, allow_pickle=False)
        took = {"seconds": round(time.monotonic() - began, 2)}
        write_json(folder / MINED, dict(self.about) | found.to_json() | took)
        shutil.rmtree(folder / VECTORS, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Round:
    """Negatives mined from the weights after `mined_at` steps, and used in all steps after `used_from`."""

    mined_at: int
    used_from: int
    negatives: Mapping[str, tuple[str, ...]]
    positive_queries: Mapping[str, Sequence[str]]
    ranks: Ranks
    log: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, used: int) -> "Round":
        """A round from its folder; `used` negatives of each query. Raises ArtifactError on a damaged file."""
        log = read_json(folder / SUMMARY)
        stars: dict[str, list[str]] = {}
        for star in read_positive_queries(folder / "queries.jsonl"):
            stars.setdefault(star.passage_id, []).append(star.text)
        mined = read_mined(folder / "negatives.jsonl")
        negatives = {
            one.query_id: tuple(n.passage_id for n in one.negatives[:used]) for one in mined
        }
        ranks = np.load(folder / "ranks.npy", allow_pickle=False)
        return cls(log["mined_at"], log["used_from"], negatives, stars, ranks, log)


def finish(
    folder: Path, stars: Sequence[PositiveQuery], used_from: int, more: Mapping[str, Any]
) -> None:
    """Make what was mined a round: its positive queries, and the step from which it is used."""
    write_positive_queries(folder / "queries.jsonl", stars)
    log = read_json(folder / MINED) | {"used_from": used_from, "new_queries": len(stars)} | more
    for left in (SCRATCH, VECTORS):
        shutil.rmtree(folder / left, ignore_errors=True)
    write_json(folder / SUMMARY, log)


def by_number(folder: Path) -> list[Path]:
    """The folders of rounds, in order."""
    return sorted(folder.glob("round-*"), key=lambda path: int(path.name.split("-")[1]))


def recorded(folder: Path) -> list[Path]:
    """The folders of rounds that are complete, in order."""
    return [path for path in by_number(folder) if (path / SUMMARY).exists()]


def main() -> None:
    """Mine the job in the folder that is named; ends with the process that started it, whose id comes second."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    from sentence_transformers import SentenceTransformer

    job: Job = pickle.loads((folder / JOB).read_bytes())  # noqa: S301 - written by the parent process
    job.mine(
        SentenceTransformer(str(folder / MODEL), trust_remote_code=True), folder
    )  # code of our own making


if __name__ == "__main__":
    main()
