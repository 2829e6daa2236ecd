"""The work of one round of re-mining, in this process or in a second one."""

import pickle
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from whet.encoder import PackedEncoder, StoredEncoder
from whet.mine.config import MineConfig
from whet.records import Collection
from whet.train.refresh.pool import Pool, Rows, remine
from whet.train.refresh.round_folder import RoundFolder
from whet.train.refresh.round_log import JobLog, MinedLog

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class MiningJob:
    """What to mine.

    `collection` holds the training queries to mine for and the passages to search, those of `pool`
    or of the whole corpus. `rows` are the numbers of these queries among all `queries` training
    queries. `depth` ranks of each query are recorded.
    """

    collection: Collection
    rows: Rows
    queries: int
    pool: Pool | None
    config: MineConfig
    depth: int
    autocast: torch.dtype | None
    log: JobLog

    def mine(self, model: "SentenceTransformer", folder: RoundFolder) -> None:
        """Mine with a model's weights, and record what was mined in the round's folder.

        Embeddings are stored in the folder until all is recorded, so that mining goes on after a
        kill.
        """
        started = time.monotonic()
        packed = PackedEncoder(model, autocast=self.autocast)
        encoder = StoredEncoder(packed, folder.vectors)
        remined = remine(self.collection, encoder, self.config, self.depth, self.pool)
        # (query, rank) of all training queries; -1 for those that were not mined for.
        ranks = np.full((self.queries, remined.ranks.shape[1]), -1)
        ranks[self.rows] = remined.ranks
        seconds = {"seconds": round(time.monotonic() - started, 2)}
        log = MinedLog.from_json(self.log.to_json() | remined.to_json() | seconds)
        folder.write_mined(remined.mined, ranks, log)

    def write(self, model: "SentenceTransformer", folder: RoundFolder) -> None:
        """Write what a second process needs; the folder is then requested."""
        folder.model.mkdir(parents=True)
        model.save_pretrained(str(folder.model), create_model_card=False)
        folder.job.write_bytes(pickle.dumps(self))
        folder.request(self.log)


def read_job(folder: RoundFolder) -> MiningJob:
    """Read what `MiningJob.write` wrote."""
    job: MiningJob = pickle.loads(folder.job.read_bytes())  # noqa: S301 - written by whet
    return job
