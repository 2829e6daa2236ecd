"""The teach stage on a tiny model and a tiny collection.

Proved: every training pair gets a label, positives of other splits none; no pair is scored twice,
whatever changes afterwards; a teacher worse than chance is left out with a warning, and alone it
leaves hard labels, or is refused where there is nothing else to train on; a changed file of a
teacher makes new labels; and all losses that take labels train, with the soft part in their log.
"""

import itertools
import json
import shutil

import numpy as np
import pandas
import pytest

from tiny import RECIPE, tiny_collection
from whet.errors import ConfigError
from whet.files import read_jsonl
from whet.pipeline import build
from whet.run.opening import open_run
from whet.run.results import read_teachers
from whet.stages.teach import check_settings, pairs_to_label
from whet.teach.label_file import read_labels
from whet.teach.lexical import Bm25Teacher
from whet.teach.models import VectorTeacher

SOFT = RECIPE | {
    "train": RECIPE["train"] | {"epochs": 1, "evaluations": 1, "soft_weight": 0.5},
    "max_length": 32,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny collection with each query's words in its passage.

    So every teacher is better than chance.
    """
    folder = tiny_collection(tmp_path_factory.mktemp("answered") / "tiny")
    corpus = folder / "corpus.jsonl"
    queries = read_jsonl(folder / "queries.jsonl")
    passages = read_jsonl(corpus)
    for query, passage in zip(queries, passages, strict=True):
        passage["text"] += f" {query['text']}"
    corpus.write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    return folder


@pytest.fixture(scope="module")
def taught(data, tiny_model, tmp_path_factory):
    """A run that is built up to its labels; tests copy it."""
    out = tmp_path_factory.mktemp("taught") / "run"
    return build(open_run(data, str(tiny_model), out, overrides=SOFT), "teach")


@pytest.fixture
def opened(data, tiny_model, taught, tmp_path):
    """Return a function from recipe parts to a run in one and the same copy of `taught`."""
    out = tmp_path / "run"
    shutil.copytree(taught.path, out)

    def with_parts(train=None, **parts):
        overrides = SOFT | parts | {"train": SOFT["train"] | (train or {})}
        return open_run(data, str(tiny_model), out, overrides=overrides)

    return with_parts


@pytest.fixture
def scored(monkeypatch):
    """How many pairs each teacher scores, by its name; the teachers are real."""
    counts = {}
    for teacher in (VectorTeacher, Bm25Teacher):

        def score(self, queries, passages, real=teacher.score):
            counts[self.name] = counts.get(self.name, 0) + len(queries)
            return real(self, queries, passages)

        monkeypatch.setattr(teacher, "score", score)
    return counts


def positives_of(run):
    """All pairs that some split holds to be positive."""
    return {pair for split in run.collection.qrels for pair in run.collection.pairs(split)}


def score_file(run, path, answer=1.0, doubtful=0):
    """Write a file with a score of every pair, and return the teacher's name.

    Positives get the score `answer`, the first `doubtful` other pairs 0.5, and the rest 0.
    """
    pairs = list(itertools.product(run.collection.queries, run.collection.passages))
    positives = positives_of(run)
    others = [pair for pair in pairs if pair not in positives]
    score_of = dict.fromkeys(positives, answer) | dict.fromkeys(others[:doubtful], 0.5)
    columns = {
        "query_id": [query for query, _ in pairs],
        "passage_id": [passage for _, passage in pairs],
        "score": [score_of.get(pair, 0.0) for pair in pairs],
    }
    pandas.DataFrame(columns).to_parquet(path)
    return f"file:{path}"


def test_every_training_pair_gets_a_label(taught):
    labels = read_labels(taught.path / "teach")
    positives = taught.collection.positives("train")
    passages = set(taught.collection.answering("train"))
    assert set(labels) == set(positives)
    for row in read_jsonl(taught.path / "mine" / "negatives.jsonl"):
        negatives = {negative["passage_id"] for negative in row["negatives"]}
        assert negatives <= set(labels[row["query_id"]])
    for by_passage in labels.values():
        assert passages <= set(by_passage)
        assert all(0 <= label <= 1 for label in by_passage.values())


def test_the_summary_describes_the_labels(taught):
    summary = read_teachers(taught.path)
    labels = read_labels(taught.path / "teach")
    assert summary.pairs == sum(map(len, labels.values()))
    assert summary.positives == len(taught.collection.pairs("train"))
    assert list(summary.teachers) == ["base", "bm25", "bm25-characters"]
    assert np.array(summary.agreement).shape == (3, 3)
    assert summary.mean_label_of_positives > summary.mean_label_of_others


def test_no_teacher_scores_a_pair_twice(opened, taught, scored):
    parts = {"labels": "soft-3", "calibration": "rank", "weigh": "quality"}
    run = build(opened(teach=parts), "teach")
    assert not scored
    assert read_labels(run.path / "teach") != read_labels(taught.path / "teach")


def test_without_stored_scores_every_teacher_scores(opened, scored):
    run = opened(teach={"alpha": 0.25})
    shutil.rmtree(run.path / "scores")
    build(run, "teach")
    assert set(scored) == {"base", "BM25 of words", "BM25 of characters"}


def test_without_soft_labels_no_teacher_scores(opened, scored):
    run = opened(train={"soft_weight": 0.0})
    shutil.rmtree(run.path / "scores")
    build(run, "teach")
    assert not scored
    assert json.loads((run.path / "teach" / "summary.json").read_text()) == {"pairs": 0}
    assert read_teachers(run.path) is None


def test_settings_of_the_audit_make_no_new_labels(opened):
    run = opened()
    labels = run.path / "teach" / "labels.parquet"
    written = labels.stat().st_mtime_ns
    build(opened(teach={"audit_depth": 7, "suspect": 0.9}), "teach")
    assert labels.stat().st_mtime_ns == written
    build(opened(teach={"alpha": 0.9}), "teach")
    assert labels.stat().st_mtime_ns != written


def test_a_teacher_worse_than_chance_is_left_out(opened, tmp_path, caplog):
    run = opened()
    good = score_file(run, tmp_path / "good.parquet")
    bad = score_file(run, tmp_path / "bad.parquet", answer=-1.0)
    build(opened(teach={"teachers": [good, bad]}), "teach")
    assert f"teacher {bad} is left out: its AUC is 0.00" in caplog.text
    summary = read_teachers(run.path)
    assert summary.left_out == (bad,)
    assert (summary.mean_label_of_positives, summary.mean_label_of_others) == (1.0, 0.0)

    build(opened(teach={"teachers": [bad]}), "teach")
    assert "the labels are the hard ones" in caplog.text
    summary = read_teachers(run.path)
    assert (summary.mean_label_of_positives, summary.mean_label_of_others) == (1.0, 0.0)

    alone = opened(teach={"teachers": [bad]}, train={"loss": "soft"})
    with pytest.raises(ConfigError, match=r"no teacher of file:.* better than chance"):
        build(alone, "teach")


def test_names_are_checked_before_any_work_where_labels_are_needed(opened):
    teachers = {"teachers": ["bm52"]}
    with pytest.raises(ConfigError, match="Did you mean bm25"):
        check_settings(opened(teach=teachers))
    check_settings(opened(teach=teachers, train={"soft_weight": 0.0}))


def test_a_changed_file_of_scores_makes_new_labels(opened, tmp_path):
    file = tmp_path / "scores.parquet"
    run = opened()
    parts = {"teachers": [score_file(run, file)]}

    def manifest():
        build(opened(teach=parts), "teach")
        return json.loads((run.path / "teach" / "manifest.json").read_text())

    first = manifest()
    assert manifest() == first
    score_file(run, file, answer=2.0)
    doubled = manifest()
    assert doubled["key"] != first["key"]
    assert doubled["fingerprint"] == first["fingerprint"]  # the labels, scaled to [0, 1], are equal
    score_file(run, file, doubtful=500)
    assert manifest()["fingerprint"] != first["fingerprint"]


def test_pairs_are_those_of_the_run(taught):
    pairs = pairs_to_label(taught, taught.path / "mine")
    labelled = []
    for query, by_passage in read_labels(taught.path / "teach").items():
        labelled += [(query, passage) for passage in by_passage]
    assert sorted(pairs) == sorted(labelled)
    held_out = positives_of(taught) - set(taught.collection.pairs("train"))
    assert not held_out & set(pairs)


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
    log = read_jsonl(run.path / "train" / "log.jsonl")
    steps = [row for row in log if "loss" in row]
    assert steps
    assert all(row["soft"] > 0 for row in steps)
    assert all(("contrastive" in row) == (train["loss"] != "soft") for row in steps)


@pytest.mark.slow
def test_changed_files_of_teacher_and_forgetting_check_train_again(opened, data, tmp_path):
    file = tmp_path / "scores.parquet"
    guard = tmp_path / "guard"
    shutil.copytree(data, guard)
    run = opened()
    teacher = score_file(run, file)

    def rebuilt():
        before = {stage: manifest_time(run, stage) for stage in ("mine", "teach", "train")}
        build(opened(teach={"teachers": [teacher]}, guard={"data": str(guard)}), "train")
        return [stage for stage, time in before.items() if manifest_time(run, stage) != time]

    assert rebuilt() == ["teach", "train"]
    assert rebuilt() == []
    score_file(run, file, answer=2.0)
    assert rebuilt() == ["teach"]  # whose labels come out the same
    score_file(run, file, doubtful=500)
    assert rebuilt() == ["teach", "train"]
    queries = guard / "queries.jsonl"
    queries.write_text(queries.read_text().replace("ba", "de"))
    assert rebuilt() == ["train"]


def manifest_time(run, stage):
    manifest = run.path / stage / "manifest.json"
    return manifest.stat().st_mtime_ns if manifest.exists() else None
