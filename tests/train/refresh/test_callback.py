"""Rounds: what is mined anew, from which weights, when it is used, when it stops, and that it goes on after a break."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from whet.encoder import PackedEncoder
from whet.evaluate.measures import PRIMARY
from whet.mine.config import MineConfig
from whet.run.opening import open_run
from whet.search.bm25 import Bm25
from whet.stages.train.attempt import refresh_plan_of
from whet.train.collate import PairCollator
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.refresh import callback as rounds
from whet.train.refresh import round_folder as round_module
from whet.train.refresh.callback import Rounds
from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.plan import boundaries
from whet.train.refresh.pool import remine

CONFIG = TrainConfig(
    train_only="all", learning_rate=0.02, epochs=2, batch_size=32, evaluations=4, negatives=2
)
MINE = MineConfig(negatives=2, depth=30, relative_margin=None)
STEPS = 8  # of two epochs


def same(left, right):
    found = right.state_dict()
    return all(torch.equal(value, found[name]) for name, value in left.state_dict().items())


def numbers(logs):
    return [{name: value for name, value in log.items() if name != "seconds"} for log in logs]


@pytest.mark.parametrize("cost", ["full", "pool"])
def test_negatives_come_from_the_weights_of_the_boundary_and_serve_from_there_on(
    start, collection, monkeypatch, tmp_path, cost
):
    mined, batches, real = [], [], PairCollator.__call__

    def noted(part, encoder, *rest):
        found = remine(part, encoder, *rest)
        today = remine(
            part, PackedEncoder(encoder.encoder.model, autocast=encoder.encoder.autocast), *rest
        )
        assert found.mined == today.mined
        mined.append(
            {one.query_id: tuple(n.passage_id for n in one.negatives) for one in found.mined}
        )
        return found

    def seen(self, rows):
        batches.append([(row["query_id"], self.negatives.get(row["query_id"])) for row in rows])
        return real(self, rows)

    monkeypatch.setattr(round_module, "remine", noted)
    monkeypatch.setattr(PairCollator, "__call__", seen)
    _, logs = start(tmp_path, times=2, cost=cost)
    assert [log["mined_at"] for log in logs] == [2, 6]
    assert [log["cost"] for log in logs] == [cost, cost]
    assert all(negatives is None for batch in batches[:2] for _, negatives in batch)
    assert all(negatives == mined[0][query] for batch in batches[2:6] for query, negatives in batch)
    assert all(negatives == mined[1][query] for batch in batches[6:] for query, negatives in batch)
    assert mined[0] != mined[1]
    assert all(log["dev"] is not None for log in logs)
    assert not list((tmp_path / "refresh").glob("*/vectors"))


def test_in_the_last_epoch_only_queries_still_to_come_are_mined_for(start, collection, tmp_path):
    queries = len(collection.positives("train"))
    _, logs = start(tmp_path, times=3)
    assert [log["mined_at"] for log in logs] == [2, 4, 6]
    assert [log["queries"] for log in logs] == [queries, queries, queries - 2 * CONFIG.batch_size]


def test_new_negatives_get_their_positive_queries(start, monkeypatch, tmp_path):
    answers, real = [], PairCollator.__call__

    def seen(self, rows):
        passages = {p for row in rows for p in self.negatives.get(row["query_id"], ())}
        answers.append((passages, {p for p in passages if self.known.positive_queries.get(p)}))
        return real(self, rows)

    monkeypatch.setattr(PairCollator, "__call__", seen)
    start(tmp_path, times=1)
    assert all(passages == answered for passages, answered in answers)
    assert all(passages for passages, _ in answers[4:])


@pytest.mark.parametrize("cost", ["full", "pool"])
def test_a_training_broken_off_anywhere_ends_with_the_same_bytes(start, broken_off, tmp_path, cost):
    refresh = {"times": 2, "cost": cost}
    whole, logs = start(tmp_path / "whole", **refresh)
    for step in range(1, STEPS):
        broken_off(tmp_path / str(step), step, **refresh)
        model, again = start(tmp_path / str(step), **refresh)
        assert same(model, whole), step
        assert numbers(again) == numbers(logs)
    for place in ("remine", "write_mined", "write_positive_queries", "write_json"):
        broken_off(tmp_path / place, inside=place, **refresh)
        model, again = start(tmp_path / place, **refresh)
        assert same(model, whole), place
        assert numbers(again) == numbers(logs)


def test_what_a_killed_refresh_had_encoded_is_not_encoded_again(
    start, broken_off, monkeypatch, tmp_path
):
    asked = []

    class Noted(PackedEncoder):
        def encode(self, texts, task):
            asked.append(task)
            return super().encode(texts, task)

    monkeypatch.setattr(round_module, "PackedEncoder", Noted)
    broken_off(tmp_path, inside="write_mined", times=1)
    assert asked == ["query", "document"]
    start(tmp_path, times=1)
    assert asked == ["query", "document"]


def test_auto_ends_where_little_changes_or_dev_does_not_rise(start, capsys, tmp_path, monkeypatch):
    _, logs = start(tmp_path / "a", times="auto", share=1.0, overlap=1e-6)
    assert [log["overlap"] > 0 for log in logs] == [False, True]  # the pairs come without negatives
    assert "the last refresh changed only" in capsys.readouterr().err
    real = DevEvaluator.__call__
    monkeypatch.setattr(
        DevEvaluator, "__call__", lambda *a, **k: real(*a, **k) | {rounds.PRIMARY: 0.5}
    )
    _, logs = start(tmp_path / "b", times="auto", share=1.0, overlap=1.0)
    assert len(logs) == 1  # every dev score is the same
    assert (
        "dev has not risen since the last refresh (50.00 then, 50.00 now)"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("overlap", "recall", "ends"), [(0.95, 1.0, True), (0.95, 0.5, False), (0.5, 1.0, False)]
)
def test_what_a_pool_misses_counts_as_new(plan, tmp_path, overlap, recall, ends):
    rounds = Rounds(plan(tmp_path, times="auto", cost="pool"), None, [], [])
    rounds.rounds = [SimpleNamespace(log={"overlap": overlap, "recall": recall, "dev": None})]
    assert bool(rounds._enough(None)) is ends


@pytest.mark.parametrize("mine", [{"strategy": "ance", "skip": 0}, {"strategy": "mix", "skip": 3}])
def test_the_pool_takes_what_mining_looks_at(tiny_data, tiny_model, tmp_path, mine):
    recipe = {"mine": {"depth": 30} | mine, "refresh": {"times": 1, "depth": 5}}
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=recipe)
    found = refresh_plan_of(run, run.collection, run.recipe.train, tmp_path / "refresh")
    assert found.depth == 5 + mine["skip"]
    queries = [run.collection.queries[query] for query in run.collection.positives("train")]
    lexical = (
        Bm25(list(run.passages.values()))
        .top_k(queries, 8 if mine["strategy"] == "mix" else 0)
        .indices
    )
    assert np.array_equal(found.first[:, found.depth :], lexical)


def test_auto_takes_what_its_share_pays_for(plan, capsys, tmp_path):
    rich, poor = (plan(tmp_path, times="auto", share=share) for share in (1.0, 0.01))
    passages, queries = rich.passage_characters, rich.query_characters
    assert boundaries(rich, 400, 4, 4) == [100, 200, 300]
    assert boundaries(poor, 400, 4, 4) == []
    assert "over refresh.share (1%), so none" in capsys.readouterr().err
    twice = replace(
        rich, config=RefreshConfig(times="auto", share=2.1 * (passages + queries) / rich.work(4))
    )
    assert boundaries(twice, 400, 4, 9) == [135, 270]  # where dev is scored anyway
    half = replace(
        rich, config=RefreshConfig(times="auto", share=(passages + queries / 2) / rich.work(1))
    )
    assert boundaries(half, 100, 1, 9) == [48]  # in the only epoch, for the queries still to come
    assert boundaries(plan(tmp_path, times="off"), 400, 4, 4) == []
    assert boundaries(plan(tmp_path, times=5), 3, 4, 4) == [1, 2]


def test_the_pool_is_taken_where_it_saves(plan, tmp_path):
    wide = plan(tmp_path)
    assert wide.pooled is False  # nearly every passage of the tiny corpus ranks high for some query
    few = {"train": dict(list(wide.collection.qrels["train"].items())[:20])}
    narrow = replace(
        wide, collection=replace(wide.collection, qrels=few), first=wide.first[:20, :2]
    )
    assert narrow.pooled is True
    assert narrow.passage_characters < wide.passage_characters / 2
    assert replace(narrow, config=RefreshConfig(cost="full")).pooled is False
    assert plan(tmp_path, cost="pool").pooled is True


def test_after_auto_had_enough_a_broken_off_training_ends_with_the_same_bytes(
    start, broken_off, tmp_path
):
    refresh = {"times": "auto", "share": 1.0, "overlap": 1e-6}
    whole, logs = start(tmp_path / "whole", **refresh)
    assert [log["mined_at"] for log in logs] == [2, 4]  # and not at 6
    broken_off(tmp_path / "broken", 7, **refresh)
    model, again = start(tmp_path / "broken", **refresh)
    assert same(model, whole)
    assert numbers(again) == numbers(logs)


def test_a_synchronous_training_is_replayed_too(start, tmp_path):
    model, logs = start(tmp_path / "first", times=2)
    again, found = start(tmp_path / "again", replay=str(tmp_path / "first" / "refresh"))
    assert same(model, again)
    assert numbers(found) == numbers(logs)


def test_dev_scores_at_boundaries_take_no_patience(start, monkeypatch, tmp_path, capsys):
    scores, real = iter([0.5] + [0.4] * 9), DevEvaluator.__call__
    monkeypatch.setattr(
        DevEvaluator, "__call__", lambda *args, **kw: real(*args, **kw) | {PRIMARY: next(scores)}
    )
    _, logs = start(tmp_path, CONFIG.model_copy(update={"patience": 2}), times=7)
    assert [log["mined_at"] for log in logs] == [
        1,
        2,
        3,
    ]  # step 1 was the best, 2 and 4 were planned and are not
    assert sorted(int(path.stem) for path in (tmp_path / "dev").iterdir()) == [1, 2, 3, 4]
    assert (
        "step 4 of 8: dev was no better in 2 evaluations in a row: training stops early"
        in capsys.readouterr().err
    )


def test_more_refreshes_than_steps_are_told_of(plan, tmp_path, capsys):
    assert boundaries(plan(tmp_path, times=9), 4, 1, 2) == [1, 2, 3]
    assert "mined anew 3 times, not 9: there are 4 steps" in capsys.readouterr().err
