"""The teach stage and training with its labels, on a tiny model and a tiny collection.

Proved: every training pair gets a label, positives of other splits none; teachers are asked once, whatever changes
afterwards; one that is worse than chance is left out, said aloud, and alone it leaves hard labels, or is refused where
there is nothing else to train on; a teacher's or a guard's changed file makes what used it anew; and all losses that
take labels train, with the soft part in their log.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tiny import RECIPE, tiny_collection
from whet.artifacts import read_json, read_jsonl
from whet.errors import ConfigError
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.teach import pairs_to_teach
from whet.teach.label_file import read_labels
from whet.teach.lexical import Bm25Teacher
from whet.teach.models import VectorTeacher

BRIEF = RECIPE | {"train": RECIPE["train"] | {"epochs": 1, "soft_weight": 0.5}, "max_length": 32}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The tiny collection with each query's words in its passage, so that any teacher is better than chance."""
    folder = tiny_collection(tmp_path_factory.mktemp("said") / "tiny")
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    passages = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    for query, passage in zip(queries, passages, strict=True):
        passage["text"] += f" {query['text']}"
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps(passage) + "\n" for passage in passages)
    )
    return folder


@pytest.fixture
def opened(data, tiny_model, tmp_path):
    """Return a function from recipe parts to a run in one and the same folder."""

    def with_parts(**parts):
        train = BRIEF["train"] | parts.pop("train", {})
        return open_run(
            data, str(tiny_model), tmp_path / "run", overrides=BRIEF | {"train": train} | parts
        )

    return with_parts


@pytest.fixture
def asked(monkeypatch):
    """The pairs that each real teacher was asked for, counted."""
    counts = {}
    for teacher in (VectorTeacher, Bm25Teacher):

        def score(self, queries, passages, real=teacher.score):
            counts[self.name] = counts.get(self.name, 0) + len(queries)
            return real(self, queries, passages)

        monkeypatch.setattr(teacher, "score", score)
    return counts


def test_every_training_pair_gets_a_label_and_no_teacher_is_asked_twice(opened, asked, capsys):
    run = build(opened(), "teach")
    labels = read_labels(run.path / "teach")
    train = run.collection.positives("train")
    passages = {passage for found in train.values() for passage in found}
    assert set(labels) == set(train)
    mined = {
        row["query_id"]: row["negatives"]
        for row in read_jsonl(run.path / "mine" / "negatives.jsonl")
    }
    for query, found in labels.items():
        assert passages <= set(found) | {
            p for split in ("dev", "test") for p in run.collection.qrels[split].get(query, {})
        }
        assert {negative["passage_id"] for negative in mined[query]} <= set(found)
        assert all(0 <= label <= 1 for label in found.values())
    summary = read_json(run.path / "teach" / "summary.json")
    assert summary["pairs"] == sum(map(len, labels.values()))
    assert np.array(summary["agreement"]).shape == (3, 3)
    assert summary["mean_label_of_positives"] > summary["mean_label_of_others"]
    once = dict(asked)
    assert set(once) == {"base", "BM25 of words", "BM25 of characters"}
    build(opened(teach={"labels": "soft-3", "calibration": "rank", "weigh": "quality"}), "teach")
    assert asked == once
    assert read_labels(run.path / "teach") != labels


def test_without_soft_labels_no_teacher_is_asked(opened, asked):
    run = build(opened(train={"soft_weight": 0.0}), "teach")
    assert not asked
    assert read_json(run.path / "teach" / "summary.json") == {"pairs": 0}


def test_what_only_the_audit_needs_makes_no_new_labels(opened, capsys):
    build(opened(), "teach")
    capsys.readouterr()
    build(opened(teach={"audit_depth": 7, "suspect": 0.9}), "teach")
    assert "teach: up to date" in capsys.readouterr().err
    build(opened(teach={"alpha": 0.9}), "teach")
    assert "teach: up to date" not in capsys.readouterr().err


def scores_of_worth(run, path, sign):
    """A file of scores for every pair, higher for positives, or lower."""
    positive = {
        (q, p)
        for split in run.collection.qrels
        for q, found in run.collection.positives(split).items()
        for p in found
    }
    rows = [
        {"query_id": q, "passage_id": p, "score": sign * ((q, p) in positive)}
        for q in run.collection.queries
        for p in run.collection.passages
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file:{path}"


def test_a_teacher_worse_than_chance_is_left_out(opened, tmp_path, capsys):
    run = opened()
    good, bad = (scores_of_worth(run, tmp_path / f"{sign}.jsonl", sign) for sign in (1, -1))
    build(opened(teach={"teachers": [good, bad]}), "teach")
    said = capsys.readouterr().err.replace("\n", "")
    assert f"teacher {bad} is left out: its AUC is 0.00" in said
    summary = read_json(run.path / "teach" / "summary.json")
    assert summary["left_out"] == [bad]
    assert (summary["mean_label_of_positives"], summary["mean_label_of_others"]) == (1.0, 0.0)
    build(opened(teach={"teachers": [bad]}), "teach")
    assert "the labels are the hard ones" in capsys.readouterr().err.replace("\n", " ")
    summary = read_json(run.path / "teach" / "summary.json")
    assert (summary["mean_label_of_positives"], summary["mean_label_of_others"]) == (1.0, 0.0)
    with pytest.raises(ConfigError, match=r"no teacher of file:.* better than chance"):
        build(opened(teach={"teachers": [bad]}, train={"loss": "soft"}), "teach")


def test_changed_files_of_teacher_and_guard_train_anew(opened, data, tmp_path, capsys):
    teacher, guard = tmp_path / "scores.jsonl", tmp_path / "guard"
    shutil.copytree(data, guard)
    run = opened()
    recipe = {
        "teach": {"teachers": [scores_of_worth(run, teacher, 1)]},
        "guard": {"data": str(guard)},
    }

    def made_again():
        capsys.readouterr()
        build(opened(**recipe), "train")
        said = capsys.readouterr().err
        return [stage for stage in ("mine", "teach", "train") if f"{stage}: up to date" not in said]

    assert made_again() == ["mine", "teach", "train"]
    assert made_again() == []
    scores_of_worth(run, teacher, 2)
    assert made_again() == ["teach"]  # whose labels, scaled to [0, 1], come out the same
    teacher.write_text(teacher.read_text().replace('"score": 0}', '"score": 0.5}', 500))
    assert made_again() == ["teach", "train"]
    (guard / "queries.jsonl").write_text((guard / "queries.jsonl").read_text().replace("ba", "de"))
    assert made_again() == ["train"]


@pytest.mark.parametrize(
    "train",
    [
        {"loss": "clp"},
        {"loss": "infonce", "soft_loss": "cosent"},
        {"loss": "soft", "soft_loss": "mse"},
    ],
)
def test_all_losses_train_with_labels(opened, train):
    run = build(opened(train=train), "train")
    logged = [row for row in read_jsonl(run.path / "train" / "log.jsonl") if "loss" in row]
    assert all(row["soft"] > 0 for row in logged)
    assert all(("contrastive" in row) == (train["loss"] != "soft") for row in logged)


def test_a_pair_that_another_split_judges_is_not_taught(opened):
    run = build(opened(), "mine")
    (query, _), (other, (theirs, *_)) = list(run.collection.positives("train").items())[:2]
    assert (query, theirs) in pairs_to_teach(run, run.path / "mine")
    test = {**run.collection.qrels["test"], query: {theirs: 1}}
    judged = replace(run.collection, qrels={**run.collection.qrels, "test": test})
    pairs = pairs_to_teach(replace(run, collection=judged), run.path / "mine")
    assert (query, theirs) not in pairs
    assert (other, theirs) in pairs
