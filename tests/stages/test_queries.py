"""Synthetic queries that are added to real ones, where data is small.

Proved: passages get one that answer no query of any split, in the form of the real queries; no
held-out query is equalled; mining uses them; audit and check do not; they are generated once; card
and report say how many there are.
"""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import whet
from tiny import RECIPE, tiny_collection
from whet.cli.main import app
from whet.data.split import same_text
from whet.files import read_json, read_jsonl
from whet.mine.mined import read_mined
from whet.pipeline import build, build_audit
from whet.run.opening import open_run
from whet.teach.label_file import read_labels

ADDING = RECIPE | {
    "train": RECIPE["train"] | {"soft_weight": 0.5},
    "generate": {"passages": 30, "round_trip": 10},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """BEIR folder whose training queries are too few for a dev split."""
    return tiny_collection(tmp_path_factory.mktemp("small") / "small", size=160, unasked=40)


@pytest.fixture(scope="module")
def taught(small, tiny_model, tmp_path_factory):
    """A run on it up to what training needs."""
    path = tmp_path_factory.mktemp("adding") / "run"
    return build(open_run(small, str(tiny_model), path, overrides=ADDING), "teach")


def manifests(run, names):
    return {name: read_json(run.path / name / "manifest.json") for name in names}


def test_passages_without_a_query_get_one_each(taught):
    data, queries = taught.collection, taught.synthetic_queries
    assert 20 < len(queries) <= 30
    passages = {query.passage_id for query in queries}
    assert len(passages) == len(queries)
    # Real queries have three words each here, and so have synthetic questions.
    questions = [query for query in queries if query.query_id.endswith("-question")]
    assert {len(query.text.split()) for query in questions} == {3}
    for split in data.qrels:
        assert passages.isdisjoint(data.answering(split))
    real_texts = {same_text(text) for text in data.queries.values()}
    assert real_texts.isdisjoint(same_text(query.text) for query in queries)
    ids = [query.query_id for query in queries]
    augmented = taught.training_collection
    assert list(augmented.positives("train")) == [*data.positives("train"), *ids]
    for split in ("dev", "test"):
        assert augmented.qrels[split] == data.qrels[split]


def test_they_are_mined_for_and_not_labelled_by_teachers(taught):
    ids = {query.query_id for query in taught.synthetic_queries}
    mined = {query.query_id for query in read_mined(taught.path / "mine" / "negatives.jsonl")}
    assert ids <= mined
    assert ids.isdisjoint(read_labels(taught.path / "teach"))


def test_audit_and_check_are_of_real_queries(taught, tmp_path):
    build_audit(taught)
    ids = {query.query_id for query in taught.synthetic_queries}
    suspects = read_jsonl(taught.path / "audit" / "suspects.jsonl")
    assert ids.isdisjoint(row["query_id"] for row in suspects)
    for judged in read_json(taught.path / "check" / "split.json")["qrels"].values():
        assert ids.isdisjoint(judged)


def test_they_are_generated_once_and_another_number_mines_again(taught):
    names = ("queries", "check", "mine", "teach")
    before = manifests(taught, names)
    again = open_run(taught.source, taught.base, taught.path, overrides=ADDING)
    assert manifests(build(again, "teach"), names) == before
    fewer = ADDING | {"generate": ADDING["generate"] | {"passages": 5}}
    changed = open_run(taught.source, taught.base, taught.path, overrides=fewer)
    after = manifests(build(changed, "mine"), names)
    assert len(changed.synthetic_queries) <= 5
    rebuilt = [name for name in names if before[name]["fingerprint"] != after[name]["fingerprint"]]
    assert rebuilt == ["queries", "mine"]


def test_the_verb_generates_them_and_nothing_else(small, tiny_model, tmp_path):
    out = tmp_path / "run"
    place = ["--model", str(tiny_model), "--out", str(out)]
    result = CliRunner().invoke(app, ["generate", "queries", str(small), *place, "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout.splitlines()[-1])
    assert printed["queries"] == len(read_jsonl(out / "queries" / "queries.jsonl")) > 0
    assert not (out / "mine").exists()


def test_where_every_passage_has_a_query_none_is_generated(tiny_model, tmp_path):
    data = tiny_collection(tmp_path / "full", size=90)
    run = build(open_run(data, str(tiny_model), tmp_path / "run", overrides=ADDING), "mine")
    assert (run.synthetic_queries, run.training_collection) == ([], run.collection)
    assert read_json(run.path / "queries" / "summary.json")["chosen"] == 0


@pytest.mark.parametrize(
    "overrides", [RECIPE, ADDING | {"train": ADDING["train"] | {"loss": "soft"}}]
)
def test_none_are_added_where_none_are_asked_for_or_labels_are_all(
    overrides, small, tiny_model, tmp_path
):
    run = open_run(small, str(tiny_model), tmp_path / "run", overrides=overrides)
    assert (run.synthetic_queries, run.training_collection) == ([], run.collection)


def test_none_are_added_to_synthetic_ones(taught):
    source = replace(taught.source, synthetic=frozenset({"train"}))
    assert replace(taught, source=source).synthetic_queries == []


def test_opening_writes_nothing(small, tiny_model, tmp_path):
    run = open_run(small, str(tiny_model), tmp_path / "run", overrides=ADDING)
    assert run.known_recipe.generate.passages == 30
    assert not run.path.exists()


@pytest.mark.slow
def test_the_whole_pipeline_learns_from_them_and_says_so(small, tiny_model, tmp_path, caplog):
    with caplog.at_level("INFO", "whet"):
        run = whet.tune(small, str(tiny_model), tmp_path / "run", overrides=ADDING)
    count = len(run.synthetic_queries)
    assert run.result["synthetic"] is False
    assert run.result["queries"] == len(run.collection.positives("test"))
    assert f"first, train on the {count} synthetic queries" in caplog.text
    card = (run.path / "model" / "README.md").read_text(encoding="utf-8")
    page = (run.path / "report" / "index.html").read_text(encoding="utf-8")
    assert f"| synthetic training queries | {count} |" in card
    for text in (card, page):
        assert f"{count} synthetic queries" in text
    # The page alone quotes: a card may be published.
    assert run.synthetic_queries[0].text in page
    assert run.synthetic_queries[0].text not in card
