"""What report and card say of a run: what it learned from, what decided, what was kept and why."""

import shutil
from dataclasses import replace

import pytest

from tiny import RECIPE, tiny_collection
from whet.artifacts import write_json, write_jsonl
from whet.run.account import account
from whet.run.opening import open_run
from whet.run.recipe import derive

FOLDS = {"judge": "cross-validation", "judged": 60}
DEV = {"judge": "dev", "judged": 20}
GUARDED = {"guard_base": 0.6, "guard_tuned": 0.62}


def line(*points):
    return [{"share": share, "dev": dev, "guard": guard} for share, dev, guard in points]


@pytest.fixture(scope="module")
def run(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("account")
    overrides = RECIPE | {"guard": {"data": "pydoc", "interpolate": True}}
    return open_run(
        tiny_collection(folder / "small", size=90),
        str(tiny_model),
        folder / "run",
        overrides=overrides,
    )


def told(run, teaching=None, dev=(), **result):
    result = {"kept": "tuned", "trial": "all", "dev_base": 0.5, "dev_best": 0.6} | result
    for stage, name, found in (
        ("train", "result", result),
        ("teach", "summary", teaching or {"pairs": 0}),
    ):
        (run.path / stage).mkdir(exist_ok=True)
        write_json(run.path / stage / f"{name}.json", found)
    rows = [
        {"step": 10, "loss": 0.5},
        *({"step": step, "eval_nDCG@10": value} for step, value in dev),
    ]
    write_jsonl(run.path / "train" / "log.jsonl", rows)
    return account(run)


def test_what_was_learned_from(run):
    pairs = len(run.collection.positives("train"))
    assert told(run)[0] == (
        f"Learned from {pairs} labelled pairs of {pairs} queries, each with 2 mined hard negative(s); loss: clp; "
        "weights that were trained: all."
    )
    taught = replace(run, recipe=derive(run.collection, "standard"))
    teaching = {"pairs": 9, "teachers": {"base": {}, "bm25": {}, "late": {}}, "left_out": ["bm25"]}
    assert (
        told(taught, teaching)[1]
        == "Soft labels (soft-2) of base and late beside the hard ones, at weight 0.5."
    )
    assert told(taught, teaching | {"left_out": ["base", "bm25", "late"]})[1].startswith(
        "No teacher was better"
    )


def test_how_often_negatives_were_mined_anew(run):
    for number in (1, 2):
        write_json(
            run.path / "train" / "refresh" / f"round-{number}" / "summary.json", {"round": number}
        )
    assert "2 mined hard negative(s), mined anew 2 time(s) on the way; loss" in told(run)[0]
    shutil.rmtree(run.path / "train")


def test_written_training_queries_beside_real_tests(run):
    """Passages that the tests ask for may have been written about, which a reader of the verdict must know."""
    assert "that answer test queries" not in " ".join(told(run))
    qrels = dict(run.collection.qrels)
    (query, judged), *_ = qrels["train"].items()
    qrels["test"] = qrels["test"] | {query: judged}
    data = replace(run.collection, synthetic=frozenset({"train"}), qrels=qrels)
    said = f"1 of the {len(data.answering('test'))} passages that answer test queries"
    assert told(replace(run, collection=data))[1].startswith(said)
    both = replace(data, synthetic=frozenset({"train", "test"}))
    assert "that answer test queries" not in " ".join(told(replace(run, collection=both)))


def test_what_decided(run):
    assert "Judged by 20 dev queries." in told(run, **DEV)
    assert any(
        "60 training queries are too few" in one and "Cross-validation" in one
        for one in told(run, **FOLDS)
    )


def test_an_earlier_checkpoint_that_scored_more_is_named(run):
    scored = ((10, 0.5), (20, 0.6), (30, 0.59))
    passed = (
        "The last weights were taken (step 30, dev nDCG@10 59.0). Step 20 had 60.0, which 20 queries do not show to be "
        "better."
    )
    assert passed in told(run, dev=scored, best_step=30, **DEV)
    for other in (
        {"best_step": 20} | DEV,
        {"best_step": 30} | FOLDS,
        {"best_step": 30, "kept": "base"} | DEV,
    ):
        assert not any(one.startswith("The last weights") for one in told(run, dev=scored, **other))
    alike = ((10, 0.5), (20, 0.5903), (30, 0.59))
    assert not any(
        one.startswith("The last weights") for one in told(run, dev=alike, best_step=30, **DEV)
    )


NOT_BETTER = "50% of the way scored 70.0. So few queries do not show it to be better."


@pytest.mark.parametrize(
    ("found", "last"),
    [
        ({}, "Kept: trained weights; by cross-validation, nDCG@10 50.0 → 60.0."),
        (FOLDS | {"share": 1.0, "line": line((0.5, 0.7, None), (1.0, 0.6, None))}, NOT_BETTER),
        (
            FOLDS | {"share": 1.0, "dev_best": 0.4, "line": line((1.0, 0.4, None))},
            "So few queries do not show it to be worse than base.",
        ),
        (
            DEV | GUARDED | {"share": 0.5, "line": line((0.5, 0.6, 0.62), (1.0, 0.7, 0.58))},
            "100% of the way scored 70.0. But it lost more than 1.0 on the guard.",
        ),
        (
            DEV
            | GUARDED
            | {"share": 0.0, "kept": "base", "dev_best": 0.5, "line": line((0.5, 0.7, 0.5))},
            "The base model was kept: every point on the way to the trained weights lost more than 1.0 on the guard.",
        ),
        (
            FOLDS | {"share": 1.0, "line": line((0.5, 0.55, None), (1.0, 0.6, None))},
            "Kept: 100% of the way from base to the trained weights; by cross-validation, nDCG@10 50.0 → 60.0.",
        ),
        (
            FOLDS | {"kept": "base", "dev_best": 0.4},
            "The base model was kept: by cross-validation, training came to nDCG@10 40.0, and base has 50.0.",
        ),
    ],
    ids=[
        "no way back",
        "not shown",
        "worse, not shown",
        "guard forbade",
        "guard forbade all",
        "the best",
        "base",
    ],
)
def test_what_was_kept_and_why(run, found, last):
    sentences = [one for one in told(run, **found) if not one.startswith("On the guard")]
    assert sentences[-1] == last


def test_force_is_named(run):
    found = DEV | {"share": 1.0, "dev_best": 0.4, "line": line((1.0, 0.4, None))}
    assert (
        told(replace(run, force=True), **found)[-1]
        == "Kept although that is less, for --force was given."
    )


def test_what_the_guard_saw(run):
    assert told(run, **GUARDED)[-1] == (
        "On the guard, a general set (pydoc: documentation of Python's standard library): nDCG@10 60.0 → 62.0."
    )
