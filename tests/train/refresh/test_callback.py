"""Re-mining during training: from which weights, used from when, and the same after a kill."""

import logging
from types import SimpleNamespace

import pytest
from trainings import STEPS, broken_off, changed, same
from transformers import TrainerState

from whet.encoder import PackedEncoder
from whet.evaluate.measures import PRIMARY
from whet.train.collate import PairCollator
from whet.train.dev import DevEvaluator
from whet.train.refresh import mining_job
from whet.train.refresh.callback import RefreshCallback
from whet.train.refresh.pool import remine

FOLDER = "whet.train.refresh.round_folder"
WRITES = [
    "whet.train.refresh.mining_job.remine",
    f"{FOLDER}.write_mined",
    f"{FOLDER}.np.save",
    f"{FOLDER}.write_positive_queries",
    f"{FOLDER}.RoundFolder.install",
]


@pytest.fixture
def batches(monkeypatch):
    """The negatives and known positive queries that each batch is made with."""
    seen, real = [], PairCollator.__call__

    def noted(self, rows):
        negatives = {row["query_id"]: self.negatives.get(row["query_id"]) for row in rows}
        seen.append((negatives, set(self.known.positive_queries)))
        return real(self, rows)

    monkeypatch.setattr(PairCollator, "__call__", noted)
    return seen


@pytest.mark.parametrize("cost", ["full", "pool"])
def test_negatives_come_from_the_weights_of_the_boundary_and_serve_from_there_on(
    start, batches, monkeypatch, tmp_path, cost
):
    mined = []

    def noted(collection, encoder, *rest):
        found = remine(collection, encoder, *rest)
        packed = encoder.encoder
        fresh = PackedEncoder(packed.model, autocast=packed.autocast)
        assert found.mined == remine(collection, fresh, *rest).mined
        mined.append(
            {one.query_id: tuple(n.passage_id for n in one.negatives) for one in found.mined}
        )
        return found

    monkeypatch.setattr(mining_job, "remine", noted)
    _, logs = start(tmp_path, times=2, cost=cost)
    assert [(log["mined_at"], log["cost"]) for log in logs] == [(2, cost), (6, cost)]
    assert all(log["dev"] is not None for log in logs)
    assert mined[0] != mined[1]
    for number, (negatives, known) in enumerate(batches):
        for query, used in negatives.items():
            newest = None if number < 2 else mined[0 if number < 6 else 1][query]
            assert used == newest
            assert known >= set(used or ())  # new negatives get their positive queries
    assert not list((tmp_path / "refresh").glob("*/vectors"))


def test_in_the_last_epoch_only_queries_still_to_come_are_mined_for(start, collection, tmp_path):
    queries = len(collection.positives("train"))
    _, logs = start(tmp_path, times=3)
    assert [log["mined_at"] for log in logs] == [2, 4, 6]
    assert [log["queries"] for log in logs] == [queries, queries, queries - 2 * 8]
    assert [log["boundaries"] for log in logs] == [[2, 4, 6]] * 3


@pytest.mark.parametrize("cost", ["pool", pytest.param("full", marks=pytest.mark.slow)])
def test_a_training_killed_again_and_again_ends_with_the_same_bytes(
    start, ends_the_same, tmp_path, cost
):
    refresh = {"times": 2, "cost": cost}
    whole = start(tmp_path / "whole", **refresh)
    ends_the_same(tmp_path / "killed", whole, [1, *WRITES, 3, WRITES[-1], 7], **refresh)


@pytest.mark.slow
@pytest.mark.parametrize("place", [*range(1, STEPS), *WRITES])
@pytest.mark.parametrize("cost", ["full", "pool"])
def test_a_training_killed_anywhere_ends_with_the_same_bytes(
    start, ends_the_same, tmp_path, cost, place
):
    refresh = {"times": 2, "cost": cost}
    whole = start(tmp_path / "whole", **refresh)
    ends_the_same(tmp_path / "killed", whole, [place], **refresh)


# ---- auto


@pytest.fixture
def dev_rises(monkeypatch):
    """Give dev scores that rise by a rate with every step."""

    def by(rate):
        real = DevEvaluator.__call__

        def scored(self, *args, steps, **options):
            scores = real(self, *args, steps=steps, **options)
            return scores | {PRIMARY: 0.5 + rate * steps}

        monkeypatch.setattr(DevEvaluator, "__call__", scored)

    return by


def test_auto_ends_where_little_changes(start, caplog, tmp_path, dev_rises):
    caplog.set_level(logging.INFO)
    dev_rises(0.01)
    config = changed(learning_rate=1e-4)
    refresh = {"times": "auto", "share": 1.0, "overlap": 0.5}
    whole, logs = start(tmp_path / "whole", config, **refresh)
    assert [log["mined_at"] for log in logs] == [2, 4]  # and not at 6
    assert [log["overlap"] > 0.5 for log in logs] == [False, True]  # pairs come without negatives
    assert "step 6: negatives stay as they are: the last refresh changed only" in caplog.text
    with broken_off(7):
        start(tmp_path / "broken", config, **refresh)
    model, again = start(tmp_path / "broken", config, **refresh)
    assert same(model, whole)
    assert again == logs


def test_auto_ends_where_dev_does_not_rise(start, caplog, tmp_path, dev_rises):
    caplog.set_level(logging.INFO)
    dev_rises(0.0)
    _, logs = start(tmp_path, times="auto", share=1.0, overlap=1.0)
    assert len(logs) == 1
    assert "dev has not risen since the last refresh (50.00 then, 50.00 now)" in caplog.text


@pytest.mark.parametrize(
    ("overlap", "recall", "ends"), [(0.95, 1.0, True), (0.95, 0.5, False), (0.5, 1.0, False)]
)
def test_what_a_pool_misses_counts_as_new(plan, tmp_path, overlap, recall, ends):
    callback = RefreshCallback(plan(tmp_path, times="auto", cost="pool"), None, [], [4])
    log = SimpleNamespace(
        mined_at=2, overlap=overlap, unchanged=overlap * recall, dev=None, recall=recall
    )
    callback.rounds = [SimpleNamespace(log=log)]
    assert callback.schedule(TrainerState(global_step=4)) is not ends


def test_only_a_boundary_without_a_round_is_scheduled(plan, tmp_path):
    callback = RefreshCallback(plan(tmp_path, times=2), None, [], [2, 4])
    callback.rounds = [SimpleNamespace(log=SimpleNamespace(mined_at=2))]
    steps = [step for step in range(6) if callback.schedule(TrainerState(global_step=step))]
    assert steps == [4]


# ---- with other callbacks


def test_dev_scores_at_boundaries_take_no_patience(start, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scores, real = iter([0.5] + [0.4] * 9), DevEvaluator.__call__
    monkeypatch.setattr(
        DevEvaluator, "__call__", lambda *args, **kw: real(*args, **kw) | {PRIMARY: next(scores)}
    )
    _, logs = start(tmp_path, changed(patience=2), times=7)
    # Step 1 was the best; 2 and 4 were planned evaluations and are no better.
    assert [log["mined_at"] for log in logs] == [1, 2, 3]
    assert sorted(int(path.stem) for path in (tmp_path / "dev").iterdir()) == [1, 2, 3, 4]
    assert "step 4 of 8: dev was no better in 2 evaluations in a row: training stops early" in (
        caplog.text
    )
