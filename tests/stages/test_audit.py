"""The false-negative audit of a run, and training data with its marks.

Proved: on a collection whose answers were partly hidden, most of them are found, with no known
answer and nothing that answers a held-out query among the suspects; the trained model is a teacher,
too; another setting makes another audit; marks in the table become judgements, and the next audit
keeps them; and the command's file of marks is taken by `whet tune`.
"""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tiny import RECIPE
from whet.cli.main import app
from whet.data.audit_marks import with_marks
from whet.data.read import read
from whet.models import load_model
from whet.pipeline import build, build_audit
from whet.records import Collection, Passage
from whet.run.opening import open_run, reopen
from whet.stages.audit import find_candidates, read_summary, read_suspects

HIDDEN = 12  # answers
SETTINGS = RECIPE | {
    "train": RECIPE["train"] | {"epochs": 1, "evaluations": 1},
    "teach": {"teachers": ["bm25", "bm25-characters", "base"], "audit_depth": 100},
}


def second_answer(passage):
    """The same words in another order."""
    words = passage.text.split()
    return Passage(f"{passage.id}-again", " ".join(reversed(words)))


@pytest.fixture(scope="module")
def hidden(tiny_data):
    """The tiny collection with a second answer for some training queries that nobody judged.

    Queries are asked in their answer's own words. The hidden pairs come beside: query → passage.
    """
    source = read(tiny_data)[0]
    answer_of = {query: answers[0] for query, answers in source.positives("train").items()}
    passages = dict(source.passages)
    hidden_answers = {}
    for query in list(source.queries)[:HIDDEN]:
        passage = second_answer(passages[answer_of[query]])
        passages[passage.id] = passage
        hidden_answers[query] = passage.id

    queries = {}
    for query, answer in answer_of.items():
        queries[query] = " ".join(sorted(passages[answer].text.split()))

    qrels = {}
    parts = np.array_split(list(queries), [70, 90])
    for split, part in zip(("train", "dev", "test"), parts, strict=True):
        qrels[split] = {query: {answer_of[query]: 1} for query in part.tolist()}
    return Collection("hidden", passages, queries, qrels), hidden_answers


@pytest.fixture(scope="module")
def audited(hidden, tiny_model, tmp_path_factory):
    """A run that was audited and nothing else; tests that change it copy it."""
    out = tmp_path_factory.mktemp("audit") / "run"
    run = open_run(hidden[0], str(tiny_model), out, overrides=SETTINGS)
    build_audit(run)
    return run


@pytest.fixture
def copied(audited, tmp_path):
    """A copy of the audited run."""
    shutil.copytree(audited.path, tmp_path / "run")
    return replace(audited, path=tmp_path / "run")


def pairs_of(suspects):
    return [(suspect.query_id, suspect.passage_id) for suspect in suspects]


def read_table(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_what_was_hidden_is_found(hidden, audited):
    _, hidden_answers = hidden
    suspects = read_suspects(audited.path / "audit")
    probabilities = [suspect.probability for suspect in suspects]
    assert probabilities == sorted(probabilities, reverse=True)
    pairs = pairs_of(suspects)
    caught = set(hidden_answers.items()) & set(pairs)
    assert len(caught) >= max(0.6 * HIDDEN, 0.6 * len(pairs))


def test_no_known_and_no_held_out_answer_is_a_suspect(audited):
    collection = audited.collection
    pairs = set(pairs_of(read_suspects(audited.path / "audit")))
    for split in collection.qrels:
        assert not pairs & set(collection.pairs(split))
    suspected = {passage for _, passage in pairs}
    assert not suspected & (collection.answering("dev") | collection.answering("test")).keys()


def test_summary_and_page_agree_with_the_suspects(audited):
    folder = audited.path / "audit"
    suspects = read_suspects(folder)
    summary = read_summary(folder)
    assert summary.suspects == len(suspects)
    assert summary.candidates == len(find_candidates(audited))
    assert (folder / "index.html").read_text().count("<article") == len(suspects)
    assert len(read_table(folder / "suspects.csv")) == len(suspects)


def test_a_trained_model_is_a_teacher_too(audited, copied, caplog):
    assert "tuned" not in read_suspects(audited.path / "audit")[0].scores
    run = build(replace(copied, settings=replace(copied.settings, force=True)), "train")
    caplog.clear()
    build_audit(run)
    assert "has not trained a model" not in caplog.text

    suspect = read_suspects(run.path / "audit")[0]
    model = load_model(str(run.path / "train" / "model"))
    query = model.encode_query(suspect.query)
    passage = model.encode_document(run.passages[suspect.passage_id])
    assert suspect.scores["tuned"] == pytest.approx(float(query @ passage), abs=1e-3)
    assert "; tuned " in suspect.reason
    assert build_audit(run).skipped


def test_without_a_trained_model_a_warning_says_so(copied, caplog):
    build_audit(copied)
    assert "has not trained a model" in caplog.text


@pytest.mark.parametrize("setting", [{"suspect": 0.999}, {"audit_depth": 1}])
def test_another_depth_or_threshold_makes_another_audit(copied, setting):
    before = read_suspects(copied.path / "audit")
    teach = SETTINGS["teach"] | setting
    settings = replace(copied.settings, overrides=SETTINGS | {"teach": teach})
    run = replace(copied, settings=settings)
    assert not build_audit(run).skipped
    assert len(read_suspects(run.path / "audit")) < len(before)
    assert build_audit(run).skipped


def test_marks_in_the_table_become_judgements(audited, tmp_path):
    rows = read_table(audited.path / "audit" / "suspects.csv")
    accepted, refused = rows[:2]
    accepted["accept"] = "Yes"
    refused["accept"] = "no"
    write_table(tmp_path / "marked.csv", rows)
    marked = with_marks(audited.collection, tmp_path / "marked.csv")
    train = marked.qrels["train"]
    assert train[accepted["query_id"]][accepted["passage_id"]] == 1
    assert train[refused["query_id"]][refused["passage_id"]] == 0
    before = audited.collection.qrels["train"]
    assert sum(map(len, train.values())) == sum(map(len, before.values())) + 2
    assert with_marks(marked, tmp_path / "marked.csv") == marked


def test_a_second_audit_keeps_the_marks_of_the_first(copied, caplog):
    table = copied.path / "audit" / "suspects.csv"
    rows = read_table(table)
    rows[0]["accept"] = "yes"
    rows[1]["accept"] = "no"
    write_table(table, rows)
    marks = {(row["query_id"], row["passage_id"]): row["accept"] for row in rows[:2]}

    labels = copied.path / "labels.csv"
    shutil.copy(table, labels)
    run = replace(copied, settings=copied.settings.with_labels(labels))
    build_audit(run)
    kept = {}
    for row in read_table(table):
        if row["accept"]:
            kept[row["query_id"], row["passage_id"]] = row["accept"]
    assert kept == marks
    # They are judged now: no suspects any more, and listed at the table's end.
    assert not set(pairs_of(read_suspects(run.path / "audit"))) & set(marks)

    table.write_bytes(b"accept;\xff\nyes;x\n")
    build_audit(run)
    assert (run.path / "suspects-earlier.csv").read_bytes() == b"accept;\xff\nyes;x\n"
    assert "cannot be read; it is kept as" in caplog.text


def test_documents_without_queries_get_synthetic_ones_first(hidden, tiny_model, tmp_path):
    documents = Collection("documents", hidden[0].passages, {}, {})
    settings = SETTINGS | {"generate": {"passages": 100}, "teach": {"teachers": ["bm25"]}}
    run = open_run(documents, str(tiny_model), tmp_path / "run", overrides=settings)
    build_audit(run)
    assert "train" in run.collection.synthetic
    assert read_summary(run.path / "audit").candidates > 0
    assert (run.path / "queries" / "queries.jsonl").exists()


def test_the_command_lists_suspects_and_tune_takes_the_marks(
    tiny_data, tiny_model, tmp_path, monkeypatch
):
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    teach = {"teachers": ["bm25", "base"], "suspect": 0.01}
    recipe.write_text(json.dumps(RECIPE | {"teach": teach}))
    options = [str(tiny_data), "--model", str(tiny_model), "--recipe", str(recipe)]
    result = CliRunner().invoke(app, ["audit", *options])
    assert result.exit_code == 0, result.output
    assert "may be false negatives" in result.output

    suspect = read_suspects(tmp_path / "runs" / "tiny" / "audit")[0]
    mark = {"query_id": suspect.query_id, "passage_id": suspect.passage_id, "accept": "yes"}
    labels = tmp_path / "labels.jsonl"
    labels.write_text(json.dumps(mark) + "\n")
    out = tmp_path / "other"
    run = open_run(tiny_data, str(tiny_model), out, overrides=RECIPE, labels=labels)
    assert suspect.passage_id in run.collection.positives("train")[suspect.query_id]
    build(run, "mine")
    assert reopen(run.path).collection == run.collection
