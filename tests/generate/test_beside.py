"""Queries that are written beside those asked, where data is small.

Proved: passages get one that answer no query of any split, in the form of what is asked; no query that is held out is
equalled; a training learns from them first, goes half of that way, and then learns from what is asked,
folds and all, while the way back leads to base; teachers label what was asked alone; an audit and a check know nothing
of it; card and report tell how many there are; they are written once, and another number of them mines anew.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import whet
from tiny import RECIPE, tiny_collection
from whet.artifacts import read_json, read_jsonl
from whet.cli.main import app
from whet.data.split import FOLDS, same_text
from whet.mine.mined import read_mined
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.audit import audit
from whet.stages.train.attempt import (
    StageFolders,
    training_data_of,
    pretrain_on_synthetic,
    train_once,
)
from whet.stages.train.stage import write_training
from whet.teach.label_file import read_labels
from whet.moe.config import MoEConfig
from whet.train.forgetting_config import GuardConfig
from whet.train.interpolate import set_weights
from whet.train.trainer import train_model

BESIDE = RECIPE | {
    "train": RECIPE["train"] | {"soft_weight": 0.5, "batches": "neighbour"},
    "generate": {"passages": 30, "round_trip": 10},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """BEIR folder whose training queries are too few for a dev split."""
    return tiny_collection(tmp_path_factory.mktemp("small") / "small", size=160, unasked=40)


@pytest.fixture(scope="module")
def taught(small, tiny_model, tmp_path_factory):
    """A run on it up to what training needs."""
    return build(
        open_run(
            small, str(tiny_model), tmp_path_factory.mktemp("beside") / "run", overrides=BESIDE
        ),
        "teach",
    )


def sources(run):
    return StageFolders(*(run.path / name for name in ("mine", "generate", "teach")))


def test_passages_that_nobody_asked_for_get_a_query_each(taught):
    data, rows = taught.collection, taught.written
    assert 20 < len(rows) <= 30
    assert len({row["passage_id"] for row in rows}) == len(rows)
    # What is asked here has three words each, and so has what is written as a question.
    assert {len(row["text"].split()) for row in rows if row["query_id"].endswith("-question")} == {
        3
    }
    assert all(
        {row["passage_id"] for row in rows}.isdisjoint(data.answering(split))
        for split in data.qrels
    )
    asked = {same_text(text) for text in data.queries.values()}
    assert asked.isdisjoint(same_text(row["text"]) for row in rows)
    assert not data.positives("train").keys() & {row["query_id"] for row in rows}
    assert list(taught.augmented.positives("train")) == [
        *data.positives("train"),
        *(r["query_id"] for r in rows),
    ]
    assert {split: taught.augmented.qrels[split] for split in ("dev", "test")} == {
        split: data.qrels[split] for split in ("dev", "test")
    }


def test_mining_serves_them_and_teachers_leave_them_alone(taught):
    written = {row["query_id"] for row in taught.written}
    assert written <= {one.query_id for one in read_mined(taught.path / "mine" / "negatives.jsonl")}
    assert written.isdisjoint(read_labels(taught.path / "teach"))


def test_what_was_written_is_learned_first_and_by_half(taught, tmp_path, monkeypatch):
    seen = []

    def recorded(model, material, evaluator, config, folder, *more):
        weights = {name: value.detach().clone() for name, value in model.named_parameters()}
        seen.append(
            (weights, [(pair.query_id, pair.positive_id) for pair in material.pairs], config)
        )
        return train_model(model, material, evaluator, config, folder, *more)

    monkeypatch.setattr("whet.stages.train.attempt.train_model", recorded)
    write_training(taught, tmp_path / "train", sources(taught))
    base = {name: value.detach() for name, value in taught.fresh_model().named_parameters()}
    first, *later = seen
    assert first[1] == [(row["query_id"], row["passage_id"]) for row in taught.written]
    assert (first[2].epochs, first[2].soft_weight) == (1, 0)
    assert all(torch.equal(first[0][name], base[name]) for name in base)
    assert len(later) == FOLDS + 1
    for weights, pairs, config in later:
        assert {query for query, _ in pairs} <= set(taught.collection.positives("train"))
        assert config == taught.recipe.train
        assert all(torch.equal(weights[name], later[0][0][name]) for name in base)
    assert any(not torch.equal(later[0][0][name], base[name]) for name in base)
    assert [pair for _, pairs, _ in later[-1:] for pair in pairs] == taught.collection.pairs(
        "train"
    )


@pytest.mark.parametrize("only", ["moe", "intermediate+norms"])
def test_experts_and_other_parts_start_from_it_too(taught, tmp_path, only):
    train = taught.recipe.train.model_copy(
        update={"train_only": only, "epochs": 1, "learning_rate": 1e-9}
    )
    moe = MoEConfig(experts=2 if only == "moe" else 0)
    run = replace(taught, recipe=taught.recipe.model_copy(update={"train": train, "moe": moe}))
    changed = train.model_copy(update={"learning_rate": 0.02})
    learning = replace(run, recipe=run.recipe.model_copy(update={"train": changed}))
    kept = pretrain_on_synthetic(learning, tmp_path / "written", sources(run))
    material = training_data_of(run, run.collection, sources(run))
    places = tmp_path / "scratch", tmp_path / "refresh"
    model, _, _ = train_once(run, material, None, train, moe, *places, kept)
    texts = list(run.passages.values())[:20]
    set_weights(half := run.fresh_model(), load_file(kept))
    np.testing.assert_allclose(model.encode(texts), half.encode(texts), atol=1e-5)
    assert np.abs(half.encode(texts) - run.fresh_model().encode(texts)).max() > 1e-3


def test_the_way_back_leads_to_base_and_what_was_learned_first_is_kept(
    taught, tmp_path, monkeypatch
):
    scratch = tmp_path / "written"
    kept = pretrain_on_synthetic(taught, scratch, sources(taught))
    base = {name: value.detach() for name, value in taught.fresh_model().named_parameters()}
    half = load_file(kept)
    assert set(half) == set(base)
    whole = {name: 2 * half[name] - base[name] for name in base}
    assert any(not torch.allclose(whole[name], base[name], atol=1e-4) for name in base)
    train, moe = taught.recipe.trials()[taught.recipe.train.train_only]
    walked = replace(
        taught,
        recipe=taught.recipe.model_copy(
            update={"guard": GuardConfig(data="none", interpolate=True)}
        ),
    )
    material = training_data_of(taught, taught.collection, sources(taught))
    _, before, _ = train_once(
        walked, material, None, train, moe, tmp_path / "a", tmp_path / "b", kept
    )
    assert all(torch.equal(before[name], base[name]) for name in base)

    def fail(*_):
        raise AssertionError("what was learned first was learned again")

    monkeypatch.setattr("whet.stages.train.attempt.train_model", fail)
    assert pretrain_on_synthetic(taught, scratch, sources(taught)) == kept


def test_an_audit_and_a_check_are_of_what_was_asked(taught, tmp_path):
    audit(taught)
    written = {row["query_id"] for row in taught.written}
    assert written.isdisjoint(
        row["query_id"] for row in read_jsonl(taught.path / "audit" / "suspects.jsonl")
    )
    judged = read_json(taught.path / "check" / "split.json")["qrels"]
    assert written.isdisjoint(query for split in judged.values() for query in split)
    checked = open_run(taught.collection, taught.base, tmp_path / "run", overrides=BESIDE)
    build(checked, "check")
    assert not (checked.path / "queries").exists()


def test_the_whole_road_learns_from_them_and_says_so(small, tiny_model, tmp_path, capsys):
    run = whet.tune(small, str(tiny_model), tmp_path / "run", overrides=BESIDE)
    assert run.result["synthetic"] is False
    assert run.result["queries"] == len(run.collection.positives("test"))
    assert f"first, train on the {len(run.written)} written queries" in capsys.readouterr().err
    card = (run.path / "model" / "README.md").read_text(encoding="utf-8")
    assert f"| written training queries | {len(run.written)} |" in card
    for told in (card, (run.path / "report" / "index.html").read_text(encoding="utf-8")):
        assert f"from {len(run.written)} queries that nobody asked, written (offline)" in told
    assert run.written[0]["text"] in told  # the page alone quotes: a card may be published
    assert run.written[0]["text"] not in card


def test_they_are_written_once_and_another_number_mines_anew(taught):
    before = {
        name: read_json(taught.path / name / "manifest.json")
        for name in ("queries", "check", "mine", "teach")
    }
    again = build(open_run(taught.collection, taught.base, taught.path, overrides=BESIDE), "teach")
    assert before == {name: read_json(again.path / name / "manifest.json") for name in before}
    fewer = BESIDE | {"generate": BESIDE["generate"] | {"passages": 5}}
    changed = build(open_run(taught.collection, taught.base, taught.path, overrides=fewer), "mine")
    after = {name: read_json(changed.path / name / "manifest.json") for name in before}
    assert len(changed.written) <= 5
    assert [
        name for name in before if before[name]["fingerprint"] != after[name]["fingerprint"]
    ] == ["queries", "mine"]


def test_the_verb_writes_them_and_nothing_else(small, tiny_model, tmp_path):
    out = tmp_path / "run"
    ended = CliRunner().invoke(
        app,
        [
            "generate",
            "queries",
            str(small),
            "--model",
            str(tiny_model),
            "--out",
            str(out),
            "--json",
        ],
    )
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["queries"] == len(read_jsonl(out / "queries" / "queries.jsonl")) > 0
    assert not (out / "mine").exists()


def test_where_every_passage_answers_somebody_none_is_written(tiny_model, tmp_path):
    data = tiny_collection(tmp_path / "full", size=90)
    run = build(open_run(data, str(tiny_model), tmp_path / "run", overrides=BESIDE), "mine")
    assert (run.written, run.augmented) == ([], run.collection)
    assert read_json(run.path / "queries" / "summary.json")["chosen"] == 0


@pytest.mark.parametrize(
    "overrides", [RECIPE, BESIDE | {"train": BESIDE["train"] | {"loss": "soft"}}]
)
def test_none_are_written_where_none_are_wanted_or_labels_are_all(
    overrides, small, tiny_model, tmp_path, capsys
):
    run = open_run(small, str(tiny_model), tmp_path / "run", overrides=overrides)
    assert (run.written, run.augmented) == ([], run.collection)
    assert "passages that have none" not in capsys.readouterr().err


def test_none_are_written_beside_those_that_are_written_already(taught):
    data = replace(taught.collection, synthetic=frozenset({"train"}))
    assert replace(taught, collection=data).written == []


def test_the_verb_has_nothing_to_write_where_every_passage_is_asked_for(tiny_model, tmp_path):
    data = tiny_collection(tmp_path / "asked", size=90)
    out = ["--model", str(tiny_model), "--out", str(tmp_path / "run")]
    ended = CliRunner().invoke(app, ["generate", "queries", str(data), *out])
    assert ended.exit_code == 0, ended.output
    assert "every passage answers a query" in ended.output
    assert read_jsonl(tmp_path / "run" / "queries" / "queries.jsonl") == []
