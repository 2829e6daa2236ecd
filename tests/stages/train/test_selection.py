"""How trainings are judged, above all without a dev split: by folds that together hold every training query once.

Proved: the folds are a partition by group; nothing of a fold's own queries is in what its training learns from; the
score of a point is the mean over all queries, each judged by the model that has not seen it; the way goes as far as
they do not show that it is worse, and so with few dev queries; the last training takes every query; and a finished
fold is not trained again.
"""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

import whet
from tiny import RECIPE, tiny_bert, tiny_collection
from whet.artifacts import read_json
from whet.data.read import read
from whet.data.split import FOLDED_BELOW, FOLDS, folds, same_text, with_splits
from whet.errors import ConfigError
from whet.evaluate.significance import compare
from whet.evaluate.verdict import FEWEST, verdict
from whet.pipeline import build
from whet.records import PositiveQuery
from whet.run.opening import open_run
from whet.stages.train.attempt import StageFolders, training_data_of
from whet.stages.train.selection import (
    FEW,
    CrossValidated,
    Trial,
    _farthest,
    _unless_worse,
    judge_of,
)
from whet.stages.train.stage import write_training
from whet.train.dev import DevEvaluator
from whet.records import InterpolationPoint
from whet.train.trainer import Trained

INTERPOLATED = RECIPE | {
    "train": RECIPE["train"] | {"batches": "neighbour"},
    "guard": {"data": "none", "interpolate": True, "shares": [0.5, 1.0]},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """BEIR folder whose training queries are too few for a dev split."""
    return tiny_collection(tmp_path_factory.mktemp("small") / "small", size=90)


@pytest.fixture(scope="module")
def mined(small, tiny_model, tmp_path_factory):
    """A run on it up to what training needs."""
    run = open_run(
        small, str(tiny_model), tmp_path_factory.mktemp("folded") / "run", overrides=INTERPOLATED
    )
    return build(run, "teach")


def sources(run):
    return StageFolders(*(run.path / name for name in ("mine", "generate", "teach")))


def test_few_queries_get_no_dev_split(small, tiny_data):
    _, how = with_splits(read(small)[0])
    assert (how["made"], how["queries"]["dev"]) == (["test"], 0)
    assert 0 < how["queries"]["train"] < FOLDED_BELOW
    many, how = with_splits(read(tiny_data)[0])
    assert how["made"] == ["test", "dev"]
    assert len(many.positives("dev")) > 0


def test_folds_hold_every_query_once_and_keep_groups_whole(mined):
    data = mined.collection
    parts = folds(data, seed=3)
    assert len(parts) == FOLDS
    held = [query for part in parts for query in part.positives("dev")]
    assert sorted(held) == sorted(data.positives("train"))
    sizes = [len(part.positives("dev")) for part in parts]
    assert max(sizes) - min(sizes) <= 1  # every query is a group of its own here
    for part in parts:
        assert part.qrels["test"] == data.qrels["test"]
        assert sorted([*part.positives("train"), *part.positives("dev")]) == sorted(
            data.positives("train")
        )
        trained = {p for found in part.positives("train").values() for p in found}
        assert trained.isdisjoint(p for found in part.positives("dev").values() for p in found)
    assert folds(data, seed=3) == parts
    assert folds(data, seed=4) != parts


def test_nothing_of_a_folds_own_queries_is_learned_from(mined):
    gold = [PositiveQuery(p, mined.collection.queries[query], "gold")
            for query, found in mined.collection.positives("train").items() for p in found]  # fmt: skip
    whet.generate.positives.write_positive_queries(mined.path / "generate" / "queries.jsonl", gold)
    whole = training_data_of(mined, mined.collection, sources(mined))
    for fold in folds(mined.collection, mined.recipe.seed):
        material = training_data_of(mined, fold, sources(mined))
        unseen = {same_text(fold.queries[query]) for query in fold.positives("dev")}
        texts = {
            same_text(text)
            for found in material.knowledge.positive_queries.values()
            for text in found
        }
        assert texts
        assert not texts & unseen
        assert {pair.query_id for pair in material.pairs} == set(fold.positives("train"))
        # Neighbours are the same pairs as before, less those of the fold's own queries.
        for row, pair in enumerate(material.pairs[:10]):
            near = [material.pairs[at] for at in material.neighbours[row] if at >= 0]
            before = [
                whole.pairs[at] for at in whole.neighbours[whole.pairs.index(pair)] if at >= 0
            ]
            assert near == [one for one in before if one.query_id not in fold.positives("dev")]


def test_points_are_judged_by_all_folds_and_finished_folds_stay(mined, monkeypatch, capsys):
    folder = mined.path.parent / "trained"
    write_training(mined, folder, sources(mined))
    assert capsys.readouterr().err.count("min left for all trainings") == FOLDS - 1
    found = read_json(folder / "result.json")
    lines = [read_json(folder / "dev" / f"fold-{n + 1}.json") for n in range(FOLDS)]
    judge = judge_of(mined, folder, sources(mined))
    assert isinstance(judge, CrossValidated)
    weights = [len(dev.queries) for dev in judge.sets]
    assert sum(weights) == len(mined.collection.positives("train"))
    assert {query for line in lines for query in line[0]["queries"]} == set(
        mined.collection.positives("train")
    )
    for at, point in enumerate(found["line"]):
        assert point["dev"] == pytest.approx(
            np.average([line[at]["dev"] for line in lines], weights=weights)
        )
    assert found["dev_base"] == pytest.approx(judge.base)
    each = {share: {} for share in (0.5, 1.0)}
    for line in lines:
        for row in line:
            each[row["share"]] |= row["queries"]
    worse = (
        verdict(compare(each[0.5], each[1.0], np.random.default_rng(mined.recipe.seed))) == "worse"
    )
    point = found["line"][0 if worse else 1]
    assert (found["share"], found["dev_best"]) == (point["share"], point["dev"])
    assert found["kept"] == "tuned"
    every = (
        -(-len(mined.collection.positives("train")) // mined.recipe.train.batch_size)
        * mined.recipe.train.epochs
    )
    assert found["best_step"] == every

    def fail(*_):
        raise AssertionError("a finished fold was trained again")

    monkeypatch.setattr("whet.stages.train.selection.interpolate", fail)
    scratch = mined.path.parent / "again"
    shutil.copytree(folder / "dev", scratch / "dev")
    train, moe = mined.recipe.trials()[mined.recipe.train.train_only]
    again = CrossValidated(mined, scratch, sources(mined))
    assert [again._fold(at, scratch / "dev", scratch, train, moe)[1.0] for at in range(FOLDS)] == [
        line[-1]["queries"] for line in lines
    ]


@pytest.mark.parametrize(
    ("half", "whole", "share", "better"),
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
    mined, tmp_path, monkeypatch, capsys, half, whole, share, better
):
    judge = CrossValidated(mined, tmp_path, sources(mined))
    judge.each = dict.fromkeys(judge.each, 0.8)

    def moved(by):
        return {
            query: 0.8 + more
            for query, more in zip(judge.each, by + [0.0] * len(judge.each), strict=False)
        }

    monkeypatch.setattr(CrossValidated, "_fold", lambda *_: {0.5: moved(half), 1.0: moved(whole)})
    trial = judge.trial("", *mined.recipe.trials()[mined.recipe.train.train_only])
    assert (trial.share, trial.better) == (share, better)
    said = "do not show that this is worse than base" in capsys.readouterr().err
    assert said == (better and trial.score <= judge.base)


@pytest.mark.parametrize("few", [True, False])
def test_few_dev_queries_choose_as_folds_do(tiny_data, tiny_model, tmp_path, monkeypatch, few):
    run = build(
        open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=INTERPOLATED), "teach"
    )
    queries = len(run.collection.positives("dev"))
    assert FEWEST <= queries < FEW
    monkeypatch.setattr("whet.stages.train.selection.FEW", FEW if few else queries)
    worst = {0: 0.0, 50: -0.1, 100: -0.2}  # of one query, which shows nothing
    values = {at: dict.fromkeys(range(queries), 0.8) | {0: 0.8 + by} for at, by in worst.items()}
    monkeypatch.setattr(DevEvaluator, "each", lambda self, at: values[at])
    monkeypatch.setattr("whet.train.callbacks.TakeLast.on_evaluate", lambda *_, **__: None)
    monkeypatch.setattr("whet.stages.train.selection.best_on_dev", lambda points: points[0])
    judge = judge_of(run, tmp_path / "train", sources(run))
    monkeypatch.setattr(judge, "base", 1.0)
    trial = judge.trial("", *run.recipe.trials()[run.recipe.train.train_only])
    assert (trial.share, trial.better) == ((1.0, True) if few else (0.5, False))


def worsened(queries, by):
    """A judge of so many queries, all 0.8 by the base model, and the two points `by` query."""
    base = {f"q{n}": 0.8 for n in range(queries)}
    each = {
        share: {q: 0.8 + more for q, more in zip(base, moved, strict=True)}
        for share, moved in by.items()
    }
    line = [
        InterpolationPoint(share, float(np.mean(list(values.values()))), None)
        for share, values in each.items()
    ]
    return SimpleNamespace(each=base, base=0.8, queries=queries), line, each


@pytest.mark.parametrize(
    ("half", "whole", "share", "better"),
    [(-0.1, -0.2, 0.5, False), (0.1, 0.0, 0.5, True), (0.0, 0.0, 1.0, True)],
)
def test_the_same_rule_for_all_judges(mined, half, whole, share, better):
    judge, line, each = worsened(20, {0.5: [half] * 20, 1.0: [whole] * 20})
    point = _farthest(mined, each)(line)
    assert point.share == share
    trial = Trial(None, None, point.dev, None, better=False, share=point.share, line=line)
    assert _unless_worse(judge, mined, trial, each).better is better
    assert not _unless_worse(
        judge, mined, replace(trial, share=0.0), each
    ).better  # the guard allows no point


@pytest.mark.parametrize(("by", "better"), [(-0.01, False), (0.0, True), (0.01, True)])
def test_fewer_queries_than_any_test_needs_decide_by_their_mean(
    mined, tmp_path, monkeypatch, by, better
):
    judge = CrossValidated(mined, tmp_path, sources(mined))
    judge.each = dict.fromkeys(list(judge.each)[: FEWEST - 1], 0.8)
    judge.queries = len(judge.each)
    moved = dict.fromkeys(judge.each, 0.8 + by)
    monkeypatch.setattr(CrossValidated, "_fold", lambda *_: {0.5: moved, 1.0: moved})
    assert judge.trial("", *mined.recipe.trials()[mined.recipe.train.train_only]).better is better


def test_the_whole_road_gets_better_without_a_dev_split(small, tiny_model, tmp_path):
    run = whet.tune(small, str(tiny_model), tmp_path / "run", overrides=INTERPOLATED)
    assert run.result["verdict"] == "better"
    again = whet.tune(small, str(tiny_model), tmp_path / "run", overrides=INTERPOLATED)
    assert again.result == run.result


def test_without_a_way_back_the_guard_only_looks_on(small, tiny_model, tmp_path):
    parts = RECIPE | {
        "guard": {
            "data": str(small),
            "interpolate": False,
            "budget": 0.0,
            "queries": 5,
            "passages": 20,
        }
    }
    run = build(open_run(small, str(tiny_model), tmp_path / "run", overrides=parts), "train")
    found = read_json(run.path / "train" / "result.json")
    assert [point["share"] for point in found["line"]] == [1.0]
    assert (found["share"], found["kept"]) == (1.0, "tuned")
    assert found["guard_tuned"] == found["line"][0]["guard"]


def test_a_model_of_dot_products_comes_out_with_vectors_of_length_1(small, tmp_path, capsys):
    base = tiny_bert(tmp_path / "dot", normalise=False, similarity="dot")
    run = whet.tune(small, str(base), tmp_path / "run", overrides=RECIPE)
    assert "compares by dot products" in capsys.readouterr().err
    assert run.result["kept_base"] is False
    vectors = SentenceTransformer(str(run.path / "model")).encode(["stone", "oil"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("refresh", "message"),
    [
        ({"replay": "nowhere"}, "holds no rounds; give RUN/train/refresh"),
        ({"times": 1, "generate": True}, "no generator is named"),
        ({"times": 1, "cost": "full"}, "mine.strategy is bm25"),
    ],
)
def test_a_refresh_that_cannot_be_is_refused_before_any_work(
    tiny_data, tiny_model, tmp_path, refresh, message
):
    parts = RECIPE | {"refresh": refresh}
    if "cost" in refresh:
        parts |= {"mine": {"strategy": "bm25"}}
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=parts)
    with pytest.raises(ConfigError, match=message):
        build(run, "train")
    assert not (run.path / "mine").exists()


def test_generated_dev_queries_do_not_choose_as_folds_do(tiny_data, tiny_model, tmp_path):
    run = build(
        open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=INTERPOLATED), "teach"
    )
    generated = replace(
        run, collection=replace(run.collection, synthetic=frozenset({"train", "dev", "test"}))
    )
    assert [judge_of(one, tmp_path / "train", sources(run)).few for one in (run, generated)] == [
        True,
        False,
    ]


def test_a_trial_that_may_take_bases_place_comes_before_one_that_may_not(
    mined, tmp_path, monkeypatch
):
    def trial(part, train, moe):
        score, better = {"all": (0.738, False), "norms": (0.724, True), "output": (0.7, True)}[part]
        model = mined.fresh_model()
        with torch.no_grad():
            next(model.parameters()).fill_(score)
        return Trial(model, Trained(1, 1, 1, False, []), score, None, better)

    judge = SimpleNamespace(name="dev", queries=30, base=0.738, guard=None, trial=trial)
    monkeypatch.setattr("whet.stages.train.stage.judge_of", lambda *_: judge)
    several = replace(
        mined, recipe=mined.recipe.model_copy(update={"candidates": ("all", "norms", "output")})
    )
    write_training(several, tmp_path / "train", sources(mined))
    found = read_json(tmp_path / "train" / "result.json")
    assert (found["kept"], found["trial"]) == ("tuned", "norms")
    kept = SentenceTransformer(str(tmp_path / "train" / "model"))
    assert next(kept.parameters()).unique().tolist() == [pytest.approx(0.724)]
