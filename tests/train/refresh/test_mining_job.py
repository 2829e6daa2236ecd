"""The work of a round: what a second process reads is what was written, and nothing is lost."""

import numpy as np
import pytest
from round_records import JOB

from whet.encoder import PackedEncoder
from whet.mine.config import MineConfig
from whet.models import load_model
from whet.train.refresh import mining_job
from whet.train.refresh.mining_job import MiningJob, read_job
from whet.train.refresh.pool import Pool, remine
from whet.train.refresh.round_folder import RoundState, round_folder
from whet.train.refresh.round_log import JobLog

CONFIG = MineConfig(negatives=2, depth=30)


@pytest.fixture
def job(collection):
    """A job for all training queries, in the corpus; rows are spread over twice as many."""
    queries = len(collection.positives("train"))
    log = JobLog.from_json(JOB)
    rows = np.arange(0, 2 * queries, 2)
    return MiningJob(collection, rows, 2 * queries, None, CONFIG, 5, None, log)


def test_mined_negatives_ranks_and_figures_are_recorded(job, model, collection, tmp_path):
    folder = round_folder(tmp_path, 1)
    job.mine(model, folder)
    expected = remine(collection, PackedEncoder(model), CONFIG, 5)
    assert folder.read_mined() == expected.mined
    ranks = np.load(folder.path / "ranks.npy")
    assert np.array_equal(ranks[::2], expected.ranks)
    assert (ranks[1::2] == -1).all()
    log = folder.read_mined_log().to_json()
    assert log == JOB | expected.to_json() | {"seconds": log["seconds"]}
    assert not folder.vectors.exists()


def test_what_killed_mining_had_encoded_is_not_encoded_again(job, model, monkeypatch, tmp_path):
    encoded = []

    class Noted(PackedEncoder):
        def encode(self, texts, task):
            encoded.append(task)
            return super().encode(texts, task)

    def killed(*_):
        raise KeyboardInterrupt

    folder = round_folder(tmp_path, 1)
    monkeypatch.setattr(mining_job, "PackedEncoder", Noted)
    with monkeypatch.context() as patch:
        patch.setattr("whet.train.refresh.round_folder.write_mined", killed)
        with pytest.raises(KeyboardInterrupt):
            job.mine(model, folder)
    assert folder.state() is RoundState.EMPTY
    job.mine(model, folder)
    assert encoded == ["query", "document"]


def test_a_job_for_a_second_process_mines_the_same(job, model, collection, tmp_path):
    ranks = remine(collection, PackedEncoder(model), CONFIG, 5).ranks
    pool = Pool.of(collection, [ranks], 0.1, np.random.default_rng(0))
    job = MiningJob(pool.part_of(collection), job.rows, job.queries, pool, CONFIG, 5, None, job.log)
    here, there = round_folder(tmp_path, 1), round_folder(tmp_path, 2)
    job.mine(model, here)
    job.write(model, there)
    assert there.state() is RoundState.REQUESTED
    assert there.read_job_log() == job.log
    read_job(there).mine(load_model(str(there.model)), there)
    assert there.read_mined() == here.read_mined()
    for name in ("negatives.jsonl", "ranks.npy"):
        assert (there.path / name).read_bytes() == (here.path / name).read_bytes()
