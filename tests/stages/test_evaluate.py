"""The evaluate stage on a tiny run whose training is replaced by another random model.

Proved: every file is there and is read back as it was written; the stage is skipped where nothing
changed and built again where the trained model did; a kept base model and generated test queries
are marked; and a model with experts gets its table.
"""

from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest

from tiny import RECIPE, tiny_bert
from whet.evaluate.measures import PRIMARY, means, per_query
from whet.evaluate.runs import read_trec
from whet.files import read_json, write_json
from whet.models import load_model
from whet.moe.upcycle import expert_layers, upcycle
from whet.run.opening import open_run
from whet.run.results import read_evaluation, read_experts, read_spaces
from whet.stage_folder import Artifact
from whet.stages import evaluate

RESULT = {
    "kept": "tuned",
    "judge": "dev",
    "judged": 20,
    "dev_base": 0.1,
    "dev_best": 0.2,
    "trial": "all",
    "trials": {},
    "trained_parameters": 1,
    "total_parameters": 1,
    "best_step": 1,
    "stopped_early": False,
}
FILES = [
    "base.trec",
    "bm25.trec",
    "evaluation.json",
    "manifest.json",
    "per_query.jsonl",
    "result.json",
    "slices.json",
    "space.json",
    "test.qrels",
    "tuned.trec",
]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture
def run(tiny_data, tiny_model, other_model, tmp_path):
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE)
    copytree(other_model, run.path / "train" / "model")
    write_json(run.path / "train" / "result.json", RESULT)
    return run


def build(run, fingerprint="trained"):
    train = Artifact(run.path / "train", fingerprint, 0.0, skipped=False)
    return evaluate.build(run, {"train": train})


def test_everything_is_written_and_read_back(run):
    artifact = build(run)
    assert sorted(path.name for path in artifact.path.iterdir()) == FILES
    evaluation, rows, slices = read_evaluation(run.path)
    assert evaluation.to_result() == read_json(artifact.path / "result.json")
    qrels = run.collection.qrels["test"]
    for name in ("base", "tuned", "bm25"):
        ranking = read_trec(artifact.path / f"{name}.trec")
        assert getattr(evaluation, name) == means(per_query(qrels, ranking))
    assert [row.query_id for row in rows] == list(run.collection.positives("test"))
    differences = [row.difference for row in rows]
    assert np.mean(differences) == pytest.approx(evaluation.comparisons[PRIMARY].difference)
    assert sum(part.queries for part in slices if part.kind == "Query length") == len(rows)
    spaces = read_spaces(run.path)
    assert spaces["base"] != spaces["tuned"]
    assert not evaluation.kept_base
    assert not evaluation.synthetic
    assert read_experts(run.path) == []


def test_it_is_built_again_only_for_another_training(run):
    assert not build(run).skipped
    assert build(run).skipped
    assert not build(run, "trained again").skipped


def test_a_kept_base_and_synthetic_test_queries_are_marked(run):
    write_json(run.path / "train" / "result.json", RESULT | {"kept": "base"})
    generated = replace(run.collection, synthetic=frozenset(["test"]))
    run.__dict__["collection"] = generated  # where the property keeps it
    build(run)
    evaluation, _, _ = read_evaluation(run.path)
    assert evaluation.kept_base
    assert evaluation.synthetic


def test_a_model_with_experts_gets_their_table(run):
    model = load_model(str(run.path / "train" / "model"))
    upcycle(model, experts=2)
    model.save_pretrained(str(run.path / "train" / "model"), create_model_card=False)
    build(run)
    layers = read_experts(run.path)
    assert len(layers) == len(expert_layers(model)) == 2
    assert all(sum(layer.share) == pytest.approx(1) for layer in layers)
