"""Selection without a dev split: folds that together hold every training query once.

Proved: the folds are a partition by group; nothing of a fold's own queries is in what its training
learns from; the score of a point is the mean over all queries, each by the model that has not seen
it; a finished fold is not trained again; the last training takes every query.
"""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from whet.data.split import FOLDS, folds, same_text
from whet.evaluate.significance import compare
from whet.evaluate.verdict import verdict
from whet.files import read_json, read_jsonl, write_jsonl
from whet.generate.positives import write_positive_queries
from whet.records import PositiveQuery
from whet.run.training_result import TrainingResult
from whet.stages.train import cross_validated
from whet.stages.train.attempt import training_data_of
from whet.stages.train.choose_model import choose_model
from whet.stages.train.cross_validated import prepare, train_candidate


def settings_of(run):
    return run.recipe.trials()[run.recipe.train.train_only]


def test_folds_hold_every_query_once_and_keep_groups_whole(folded):
    data = folded.collection
    parts = folds(data, seed=3)
    assert len(parts) == FOLDS
    dev_queries = [query for part in parts for query in part.positives("dev")]
    assert sorted(dev_queries) == sorted(data.positives("train"))
    sizes = [len(part.positives("dev")) for part in parts]
    assert max(sizes) - min(sizes) <= 1  # every query is a group of its own here
    for part in parts:
        assert part.qrels["test"] == data.qrels["test"]
        queries = [*part.positives("train"), *part.positives("dev")]
        assert sorted(queries) == sorted(data.positives("train"))
        assert part.answering("train").keys().isdisjoint(part.answering("dev"))
    assert folds(data, seed=3) == parts
    assert folds(data, seed=4) != parts


def test_nothing_of_a_folds_own_queries_is_learned_from(folded, sources):
    file = folded.path / "generate" / "queries.jsonl"
    before = read_jsonl(file)
    gold = [
        PositiveQuery(passage, folded.collection.queries[query], "gold")
        for query, passage in folded.collection.pairs("train")
    ]
    write_positive_queries(file, gold)
    try:
        for fold in folds(folded.collection, folded.recipe.seed):
            data = training_data_of(folded, fold, sources(folded))
            unseen = {same_text(fold.queries[query]) for query in fold.positives("dev")}
            known = data.known.positive_queries.values()
            texts = {same_text(text) for queries in known for text in queries}
            assert texts
            assert not texts & unseen
            assert {pair.query_id for pair in data.pairs} == set(fold.positives("train"))
    finally:
        write_jsonl(file, before)


def test_points_are_judged_by_all_folds_and_finished_folds_stay(
    folded, sources, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / "trained"
    with caplog.at_level("INFO", "whet"):
        choose_model(folded, folder, sources(folded))
    assert caplog.text.count("min left for all trainings") == FOLDS - 1
    result = TrainingResult.from_json(read_json(folder / "result.json"))
    fold_rows = [read_json(folder / "dev" / f"fold-{n + 1}.json") for n in range(FOLDS)]
    setup = prepare(folded, folder, sources(folded))
    weights = [len(dev.queries) for dev in setup.dev_sets]
    queries = {query for rows in fold_rows for query in rows[0]["queries"]}
    assert queries == set(folded.collection.positives("train"))
    assert sum(weights) == len(queries)
    for number, point in enumerate(result.line):
        expected = np.average([rows[number]["dev"] for rows in fold_rows], weights=weights)
        assert point.dev == pytest.approx(expected)
    assert result.dev_base == pytest.approx(setup.baseline.dev)
    half, whole = ({}, {})
    for rows in fold_rows:
        half |= rows[0]["queries"]
        whole |= rows[1]["queries"]
    comparison = compare(half, whole, np.random.default_rng(folded.recipe.seed))
    point = result.line[0 if verdict(comparison) == "worse" else 1]
    assert (result.share, result.dev_best) == (point.share, point.dev)
    assert result.kept == "tuned"
    steps_per_epoch = math.ceil(len(queries) / folded.recipe.train.batch_size)
    assert result.best_step == steps_per_epoch * folded.recipe.train.epochs

    def fail(*_):
        raise AssertionError("a finished fold was trained again")

    monkeypatch.setattr(cross_validated, "_train_fold", fail)
    again = tmp_path / "again"
    shutil.copytree(folder / "dev", again / "dev")
    repeated = train_candidate(prepare(folded, again, sources(folded)), "", *settings_of(folded))
    assert repeated.dev == result.dev_best


@pytest.fixture(scope="module")
def trained_once(folded, tmp_path_factory):
    """A setup whose last training is done: only the folds' scores change from case to case."""
    folder = tmp_path_factory.mktemp("cases")
    sources = cross_validated.StageFolders(
        *(folded.path / name for name in ("mine", "generate", "teach"))
    )
    setup = prepare(folded, folder, sources)
    attempt = cross_validated.train_once(
        folded,
        training_data_of(folded, folded.collection, sources),
        *settings_of(folded),
        cross_validated.WorkFolders(folder / "checkpoints", folder / "refresh"),
        start_weights=None,
    )
    return setup, attempt


def judged(trained_once, monkeypatch, per_query, half, whole):
    """The candidate whose queries score 0.8 by the base model, and by the points 0.8 plus these."""
    setup, attempt = trained_once
    queries = list(setup.baseline.per_query)[:per_query]
    base = dict.fromkeys(queries, 0.8)

    def moved(changes):
        padded = [*changes, *[0.0] * len(queries)]
        return {query: 0.8 + change for query, change in zip(queries, padded, strict=False)}

    baseline = replace(setup.baseline, per_query=base, dev=0.8)
    scores = {0.5: moved(half), 1.0: moved(whole)}
    monkeypatch.setattr(cross_validated, "_score_fold", lambda *_: scores)
    monkeypatch.setattr(cross_validated, "train_once", lambda *_, **__: attempt)
    return train_candidate(replace(setup, baseline=baseline), "", *settings_of(setup.run))


@pytest.mark.parametrize(
    ("half", "whole", "share", "is_better"),
    [
        ([-0.5], [-0.5], 1.0, True),
        ([], [], 1.0, True),
        ([0.1], [-0.5], 1.0, True),
        ([0.1] * 12, [-0.5] * 12, 0.5, True),
        ([-0.5] * 12, [-0.6] * 12, 0.5, False),
        ([-0.5] * 12, [-0.5] * 12, 1.0, False),
    ],
    ids=[
        "one lost",
        "nothing changed",
        "half better by one",
        "half better by many",
        "many lost",
        "all the same",
    ],
)
def test_points_are_taken_that_the_folds_do_not_show_to_be_worse(
    trained_once, monkeypatch, caplog, half, whole, share, is_better
):
    with caplog.at_level("INFO", "whet"):
        candidate = judged(trained_once, monkeypatch, None, half, whole)
    assert (candidate.share, candidate.is_better) == (share, is_better)
    is_explained = "do not show that this is worse than base" in caplog.text
    assert is_explained == (is_better and candidate.dev <= 0.8)


@pytest.mark.parametrize(("change", "is_better"), [(-0.01, False), (0.0, True), (0.01, True)])
def test_fewer_queries_than_any_test_needs_decide_by_their_mean(
    trained_once, monkeypatch, change, is_better
):
    few = 9  # of nine queries no test can say much
    candidate = judged(trained_once, monkeypatch, few, [change] * few, [change] * few)
    assert candidate.is_better is is_better


def test_without_interpolation_the_forgetting_check_only_reports(
    folded, small_data, changed, sources, tmp_path
):
    guard = {
        "data": str(small_data),
        "interpolate": False,
        "budget": 0.0,
        "queries": 5,
        "passages": 20,
    }
    run = changed(folded, guard=guard, train={"epochs": 1})
    choose_model(run, tmp_path / "train", sources(folded))
    result = TrainingResult.from_json(read_json(tmp_path / "train" / "result.json"))
    assert [point.share for point in result.line] == [1.0]
    assert (result.share, result.kept) == (1.0, "tuned")
    assert result.guard_tuned == result.line[0].guard
