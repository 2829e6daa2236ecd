"""The false-negative audit, and training with what it found.

Proved: on a collection of which answers were hidden, most are found, with no known answer and nothing that answers a
held-out query among the suspects; marks in the table or from the page become positives, or judged irrelevant, and are
mined and trained accordingly; and a file of marks that is wrong is told of row by row.
"""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import whet
from tiny import RECIPE
from whet.cli.main import app
from whet.data.audit_marks import with_marks
from whet.data.read import read
from whet.errors import ConfigError, DataError
from whet.models import load_model
from whet.pipeline import build
from whet.records import Collection, Passage
from whet.run.opening import open_run
from whet.stages.audit import audit, read_suspects
from whet.teach.suspects import features, relevance

HIDDEN = 12


@pytest.fixture(scope="module")
def hidden(tiny_data):
    """The tiny collection with a second answer for some training queries, which the qrels keep to themselves."""
    collection = read(tiny_data)[0]
    queries = list(collection.queries)
    passages = dict(collection.passages)
    told: dict = {
        query: {answer: 1} for query, (answer, *_) in collection.positives("train").items()
    }
    kept = {}
    for query in queries[:HIDDEN]:
        answer = passages[next(iter(told[query]))]
        copy = Passage(f"{answer.id}-again", " ".join(answer.text.split()[::-1]))
        passages[copy.id] = copy
        kept[query] = copy.id
    splits = np.array_split(queries, [70, 90])
    qrels = {
        name: {query: told[query] for query in part.tolist()}
        for name, part in zip(("train", "dev", "test"), splits, strict=True)
    }
    return Collection("hidden", passages, collection.queries, qrels), kept


@pytest.fixture(scope="module")
def audited(hidden, tiny_model, tmp_path_factory):
    parts = RECIPE | {
        "train": RECIPE["train"] | {"epochs": 1},
        "teach": {"teachers": ["bm25", "bm25-characters", "base"], "audit_depth": 100},
    }
    texts = {}  # asked in the answer's own words, in another order
    for split in hidden[0].qrels:
        for query, (answer, *_) in hidden[0].positives(split).items():
            texts[query] = " ".join(sorted(hidden[0].passages[answer].text.split()))
    taught = replace(hidden[0], queries=texts)
    run = open_run(
        taught, str(tiny_model), tmp_path_factory.mktemp("audit") / "run", overrides=parts
    )
    audit(run)
    return run


def test_what_was_hidden_is_found(hidden, audited):
    _, kept = hidden
    found = read_suspects(audited.path / "audit")
    assert [one.probability for one in found] == sorted(
        (one.probability for one in found), reverse=True
    )
    pairs = [(one.query_id, one.passage_id) for one in found]
    caught = set(kept.items()) & set(pairs)
    assert len(caught) >= max(0.6 * HIDDEN, 0.6 * len(pairs))
    known = {
        (q, p)
        for split in audited.collection.qrels
        for q, ps in audited.collection.positives(split).items()
        for p in ps
    }
    held_out = {
        p
        for split in ("dev", "test")
        for ps in audited.collection.positives(split).values()
        for p in ps
    }
    assert not set(pairs) & known
    assert not {passage for _, passage in pairs} & held_out
    summary = json.loads((audited.path / "audit" / "summary.json").read_text())
    assert summary["suspects"] == len(found)
    page = (audited.path / "audit" / "index.html").read_text()
    assert page.count("<article") == len(found)


def test_a_trained_model_is_asked_too(audited, tmp_path, capsys):
    assert "tuned" not in read_suspects(audited.path / "audit")[0].scores
    shutil.copytree(audited.path, tmp_path / "run")
    run = build(replace(audited, path=tmp_path / "run", force=True), "train")
    capsys.readouterr()
    audit(run)
    found = read_suspects(run.path / "audit")
    assert "no model has been trained" not in capsys.readouterr().err
    model = load_model(str(run.path / "train" / "model"))
    query, passage = (
        model.encode_query(found[0].query),
        model.encode_document(run.passages[found[0].passage_id]),
    )
    assert found[0].scores["tuned"] == pytest.approx(float(query @ passage), abs=1e-3)
    assert "; tuned " in found[0].reason
    audit(run)
    assert "audit: up to date" in capsys.readouterr().err


@pytest.mark.parametrize("setting", [{"suspect": 0.999}, {"audit_depth": 1}])
def test_another_depth_or_threshold_audits_anew(audited, tmp_path, setting, capsys):
    shutil.copytree(audited.path, tmp_path / "run")
    teach = audited.recipe.teach.model_copy(update=setting)
    run = replace(
        audited, path=tmp_path / "run", recipe=audited.recipe.model_copy(update={"teach": teach})
    )
    before = read_suspects(run.path / "audit")
    audit(run)
    assert len(read_suspects(run.path / "audit")) < len(before)
    capsys.readouterr()
    audit(run)
    assert "audit: up to date" in capsys.readouterr().err


def test_marks_in_the_table_become_judgements(audited, tmp_path):
    rows = list(
        csv.DictReader(
            (audited.path / "audit" / "suspects.csv").read_text(encoding="utf-8-sig").splitlines()
        )
    )
    (first, second), rest = rows[:2], rows[2:]
    first["accept"], second["accept"] = "Yes", "no"
    with (tmp_path / "marked.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(first))
        writer.writeheader()
        writer.writerows([first, second, *rest])
    marked = with_marks(audited.collection, tmp_path / "marked.csv")
    train, before = marked.qrels["train"], audited.collection.qrels["train"]
    assert train[first["query_id"]][first["passage_id"]] == 1
    assert train[second["query_id"]][second["passage_id"]] == 0
    assert sum(map(len, train.values())) == sum(map(len, before.values())) + 2
    assert with_marks(marked, tmp_path / "marked.csv") == marked


def test_a_second_audit_keeps_the_marks_of_the_first(audited, tmp_path, capsys):
    shutil.copytree(audited.path, tmp_path / "run")
    table = tmp_path / "run" / "audit" / "suspects.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    rows[0]["accept"], rows[1]["accept"] = "yes", "no"
    write_rows(table, rows)
    run = replace(audited, path=tmp_path / "run", collection=with_marks(audited.collection, table))
    audit(run)
    again = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    marked = {(row["query_id"], row["passage_id"]): row["accept"] for row in again if row["accept"]}
    assert marked == {(row["query_id"], row["passage_id"]): row["accept"] for row in rows[:2]}
    listed = {(one.query_id, one.passage_id) for one in read_suspects(run.path / "audit")}
    assert not listed & set(marked)  # they are judged now, and stand at the table's end
    table.write_bytes(b"accept;\xff\nyes;x\n")
    audit(run)
    assert (run.path / "suspects-earlier.csv").read_bytes() == b"accept;\xff\nyes;x\n"
    assert "cannot be read; it is kept as" in capsys.readouterr().err.replace("\n", " ")


def write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accept,query_id,passage_id\nmaybe,q0,p0\n", "accept is 'maybe'"),
        (
            "accept,query_id,passage_id\nyes,q0,nothing\n",
            "passage 'nothing' is not in the training data",
        ),
        ("accept,query\nyes,q0\n", "are not all there"),
        (
            "accept,query_id,passage_id\nyes,q0,p5\nno,q0,p5\n",
            "the opposite for the same pair at .*marked.csv:2",
        ),
        ("accept,query_id,passage_id,query\nyes,q0,p5,what was asked before\n", "another text now"),
        ("accept,query_id,passage_id\nyes,q0,p80\n", "answers a dev or test query"),
        ("accept,query_id,passage_id\nyes,q0,copy\n", "answers a dev or test query"),
    ],
)
def test_marks_that_are_wrong(audited, tmp_path, text, said):
    held_out = audited.collection.passages["p80"]
    copied = {
        **audited.collection.passages,
        "copy": replace(held_out, id="copy", text=f"{held_out.text.upper()} "),
    }
    audited = replace(audited, collection=replace(audited.collection, passages=copied))
    (tmp_path / "marked.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        with_marks(audited.collection, tmp_path / "marked.csv")
    (tmp_path / "marked.csv").write_text("accept,query_id,passage_id\n,q0,p5\n")
    with pytest.raises(ConfigError, match="nothing is marked"):
        with_marks(audited.collection, tmp_path / "marked.csv")
    with pytest.raises(ConfigError, match="no such file of labels"):
        with_marks(audited.collection, tmp_path / "nowhere.csv")


def test_the_command_lists_suspects_and_tune_takes_the_marks(
    tiny_data, tiny_model, tmp_path, monkeypatch
):
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        json.dumps(RECIPE | {"teach": {"teachers": ["bm25", "base"], "suspect": 0.01}})
    )
    options = [str(tiny_data), "--model", str(tiny_model), "--recipe", str(recipe)]
    shown = CliRunner().invoke(app, ["audit", *options])
    assert shown.exit_code == 0, shown.output
    assert "may be false negatives" in shown.output
    folder = tmp_path / "runs" / "tiny" / "audit"
    one = read_suspects(folder)[0]
    (tmp_path / "labels.jsonl").write_text(
        json.dumps({"query_id": one.query_id, "passage_id": one.passage_id, "accept": "yes"}) + "\n"
    )
    run = open_run(
        tiny_data,
        str(tiny_model),
        tmp_path / "other",
        overrides=RECIPE,
        labels=tmp_path / "labels.jsonl",
    )
    assert one.passage_id in run.collection.positives("train")[one.query_id]
    build(run, "mine")
    again = whet.run.folder.reopen(run.path)
    assert again.collection == run.collection


def test_features_are_distances_in_standard_deviations():
    scores = np.array([[1.0, 3.0, 5.0, 5.0]])
    found = features(scores, np.array([0, 0, 1, 1]), np.array([[1.0, 3.0]]))
    np.testing.assert_allclose(found, [[-1, -1], [1, 1], [3, 0], [3, 0]])
    with pytest.raises(ValueError, match="2 of 2 pairs are known"):
        relevance(found[:2], np.array([True, True]))
