"""What re-mining costs, and so at which steps it is done."""

import logging
from dataclasses import replace

import pytest

from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.plan import boundaries


def test_auto_takes_what_its_share_pays_for(plan, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    rich, poor = (plan(tmp_path, times="auto", share=share) for share in (1.0, 0.01))
    passages, queries = rich.passage_characters, rich.query_characters
    assert boundaries(rich, 400, 4, 4) == [100, 200, 300]
    assert boundaries(poor, 400, 4, 4) == []
    assert "over refresh.share (1%), so none" in caplog.text

    def paying(characters, epochs):
        share = characters / rich.work(epochs)
        return replace(rich, config=RefreshConfig(times="auto", share=share))

    twice = paying(2.1 * (passages + queries), 4)
    assert boundaries(twice, 400, 4, 9) == [135, 270]  # where dev is scored anyway
    half = paying(passages + queries / 2, 1)
    assert boundaries(half, 100, 1, 9) == [48]  # in the only epoch, for the queries still to come


@pytest.mark.parametrize("times", ["off", 0])
def test_off_is_never(plan, tmp_path, times):
    assert boundaries(plan(tmp_path, times=times), 400, 4, 4) == []


def test_more_refreshes_than_steps_are_logged(plan, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert boundaries(plan(tmp_path, times=9), 4, 1, 2) == [1, 2, 3]
    assert "re-mined 3 times, not 9: there are 4 steps" in caplog.text
    assert boundaries(plan(tmp_path, times=5), 3, 4, 4) == [1, 2]


def test_the_pool_is_taken_where_it_saves(plan, tmp_path):
    wide = plan(tmp_path)
    assert wide.pooled is False  # nearly every passage of so few ranks high for some query
    few = {"train": dict(list(wide.collection.qrels["train"].items())[:8])}
    collection = replace(wide.collection, qrels=few)
    narrow = replace(wide, collection=collection, first_ranks=wide.first_ranks[:8, :2])
    assert narrow.pooled is True
    assert narrow.passage_characters < wide.passage_characters / 2
    assert replace(narrow, config=RefreshConfig(cost="full")).pooled is False
    assert plan(tmp_path, cost="pool").pooled is True


def test_the_pool_keeps_the_ranks_that_mining_skips(plan, tmp_path):
    some = plan(tmp_path, depth=5)
    assert some.depth == 5
    skipping = replace(some, mine=some.mine.model_copy(update={"skip": 3}))
    assert skipping.depth == 8
