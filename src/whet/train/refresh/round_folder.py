"""The folder of one round of re-mining: what it holds, and how far the round has come.

    scratch/            the model and the job for a second process
    job.json            what it is to mine
    vectors/            embeddings, so that mining that was killed goes on
    negatives.jsonl     mined negatives
    ranks.npy           best ranks of every training query
    mined.json          the figures of mining
    queries.jsonl       positive queries (h*) of new negatives
    summary.json        all figures; the round is installed

job.json, mined.json and summary.json show how far the round has come (`RoundState`). Each is
written after all files that belong to it.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from whet.files import SCRATCH, read_json, write_json
from whet.generate.positives import read_positive_queries, write_positive_queries
from whet.mine.mined import read_mined, write_mined
from whet.records import MinedQuery, PositiveQuery
from whet.stage_folder import VECTORS
from whet.train.refresh.pool import Ranks
from whet.train.refresh.round_log import JobLog, MinedLog, RoundLog


class RoundState(Enum):
    """How far a round has come."""

    EMPTY = "empty"
    REQUESTED = "requested"
    MINED = "mined"
    INSTALLED = "installed"


# The file that is written last in each state, the last state first.
LAST_FILES = {
    RoundState.INSTALLED: "summary.json",
    RoundState.MINED: "mined.json",
    RoundState.REQUESTED: "job.json",
}


@dataclass(frozen=True, slots=True)
class Round:
    """A round whose negatives are used.

    `negatives` maps a query id to passage ids, `positive_queries` a passage id to texts of queries
    that it answers. `ranks` has a row for each training query.
    """

    log: RoundLog
    negatives: Mapping[str, tuple[str, ...]]
    positive_queries: Mapping[str, Sequence[str]]
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class RoundFolder:
    """The folder of one round; it may not be there yet. Damaged files raise ArtifactError."""

    path: Path

    @property
    def model(self) -> Path:
        """Where a second process finds the model."""
        return self.path / SCRATCH / "model"

    @property
    def job(self) -> Path:
        """Where a second process finds its job."""
        return self.path / SCRATCH / "job.pickle"

    @property
    def messages(self) -> Path:
        """What a second process printed."""
        return self.path / "log.txt"

    @property
    def vectors(self) -> Path:
        """Embeddings by the model of this round."""
        return self.path / VECTORS

    def state(self) -> RoundState:
        """How far the round has come."""
        for state, last_file in LAST_FILES.items():
            if (self.path / last_file).exists():
                return state
        return RoundState.EMPTY

    # ---- requested

    def request(self, log: JobLog) -> None:
        """Record what a second process is to mine. Its model and job are there already."""
        write_json(self.path / "job.json", log.to_json())

    def read_job_log(self) -> JobLog:
        """What is to be mined, from the newest of the logs. Not for an empty folder."""
        return JobLog.from_json(read_json(self.path / LAST_FILES[self.state()]))

    # ---- mined

    def write_mined(self, mined: Sequence[MinedQuery], ranks: Ranks, log: MinedLog) -> None:
        """Record what was mined, and delete the embeddings."""
        write_mined(self.path / "negatives.jsonl", mined)
        np.save(self.path / "ranks.npy", ranks, allow_pickle=False)
        write_json(self.path / "mined.json", log.to_json())
        # Only now: killed before, mining goes on from them.
        shutil.rmtree(self.vectors, ignore_errors=True)

    def read_mined(self) -> list[MinedQuery]:
        """The mined negatives."""
        return read_mined(self.path / "negatives.jsonl")

    def read_mined_log(self) -> MinedLog:
        """The figures of mining."""
        return MinedLog.from_json(read_json(self.path / "mined.json"))

    # ---- installed

    def install(
        self,
        mined: Sequence[MinedQuery],
        positive_queries: Sequence[PositiveQuery],
        log: RoundLog,
        negatives: int,
    ) -> Round:
        """Record that the round is used; returns it with `negatives` for each query.

        `mined` are the negatives that this folder holds.
        """
        write_positive_queries(self.path / "queries.jsonl", positive_queries)
        shutil.rmtree(self.path / SCRATCH, ignore_errors=True)
        shutil.rmtree(self.vectors, ignore_errors=True)
        write_json(self.path / "summary.json", log.to_json())
        return self._round(mined, positive_queries, log, negatives)

    def read_log(self) -> RoundLog:
        """The figures of an installed round."""
        return RoundLog.from_json(read_json(self.path / "summary.json"))

    def read_round(self, negatives: int) -> Round:
        """An installed round, with `negatives` for each query."""
        positive_queries = read_positive_queries(self.path / "queries.jsonl")
        return self._round(self.read_mined(), positive_queries, self.read_log(), negatives)

    def _round(
        self,
        mined: Sequence[MinedQuery],
        positive_queries: Sequence[PositiveQuery],
        log: RoundLog,
        negatives: int,
    ) -> Round:
        passages = {}
        for query in mined:
            used = query.negatives[:negatives]
            passages[query.query_id] = tuple(negative.passage_id for negative in used)
        texts: dict[str, list[str]] = {}
        for positive_query in positive_queries:
            texts.setdefault(positive_query.passage_id, []).append(positive_query.text)
        ranks = np.load(self.path / "ranks.npy", allow_pickle=False)
        return Round(log, passages, texts, ranks)

    def withdraw(self) -> None:
        """Let the round be mined but not installed."""
        (self.path / "summary.json").unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the folder, if it is there."""
        shutil.rmtree(self.path, ignore_errors=True)


def round_folders(folder: Path) -> list[RoundFolder]:
    """The rounds in a folder, in order."""
    paths = sorted(folder.glob("round-*"), key=lambda path: int(path.name.split("-")[1]))
    return [RoundFolder(path) for path in paths]


def round_folder(folder: Path, number: int) -> RoundFolder:
    """The folder of one round; rounds are counted from 1."""
    return RoundFolder(folder / f"round-{number}")
