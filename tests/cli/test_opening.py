"""Which run a verb opens: an existing one as it was made, or the one of its options."""

import json
import os
from pathlib import Path

import pytest
import yaml

from tiny import RECIPE
from whet.run.results import STAGE_NAMES


def manifests(run):
    paths = [run / stage / "manifest.json" for stage in STAGE_NAMES]
    return {path: path.read_bytes() for path in paths if path.exists()}


def test_the_same_command_again_does_nothing_and_prints_the_same(whet, tuned, options, finished):
    before = manifests(finished)
    again = whet("evaluate", *options(finished), "--json", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")
    first, second = json.loads(tuned.stdout), json.loads(again.stdout)
    assert first | {"peak_memory_mb": 0} == second | {"peak_memory_mb": 0}
    assert manifests(finished) == before


def test_a_stage_without_options_leaves_a_finished_run_as_it_was_made(whet, finished, tiny_data):
    before = manifests(finished)
    recipe = (finished / "recipe.json").read_bytes()
    for verb in ("check", "evaluate"):
        assert whet(verb, tiny_data, "--out", finished).returncode == 0
    assert whet("report", finished).returncode == 0
    assert (finished / "recipe.json").read_bytes() == recipe
    assert manifests(finished) == before


@pytest.mark.parametrize(
    ("place", "message"), [("file", "File exists"), ("file/run", "Not a directory")]
)
def test_a_place_where_no_run_can_be_written_is_named(whet, tiny_data, tmp_path, place, message):
    (tmp_path / "file").write_text("mine")
    ended = whet("check", tiny_data, "--out", tmp_path / place)
    assert ended.returncode == 2
    error = " ".join(ended.stderr.split())
    assert f"no run can be written in {tmp_path / place} ({message})" in error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_made_with_relative_paths_is_opened_from_anywhere(
    whet, tiny_data, tiny_model, record, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_model.parent)
    recipe = RECIPE | {
        "guard": {"data": os.path.relpath(tiny_data)},
        "teach": {"teachers": ["base", "bm25"]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run = tmp_path / "run"
    model_and_recipe = ["--model", tiny_model.name, "--recipe", tmp_path / "recipe.yaml"]
    assert whet("check", tiny_data, *model_and_recipe, "--out", run).returncode == 0
    monkeypatch.chdir(tmp_path)
    assert whet("check", run).returncode == 0
    recorded = record(run)
    assert recorded["model"] == str(tiny_model.resolve())
    assert recorded["overrides"]["guard"]["data"] == str(Path(tiny_data).resolve())
    assert recorded["overrides"]["teach"]["teachers"] == ["base", "bm25"]


def test_a_run_of_an_earlier_version_is_continued(whet, copied, record):
    overrides = record(copied)["overrides"]
    old = overrides | {"neighbours": 32, "train": overrides["train"] | {"batches": "random"}}
    record(copied, overrides=old)
    ended = whet("evaluate", copied)
    assert ended.returncode == 0
    assert ended.stderr.count("ignored settings that this version no longer has") == 1
    assert "neighbours: 32, train.batches: random" in ended.stderr


def test_a_run_that_did_what_was_removed_is_not_continued(whet, copied, record):
    overrides = record(copied)["overrides"]
    record(copied, overrides=overrides | {"train": {"batches": "neighbour"}})
    ended = whet("evaluate", copied)
    assert ended.returncode == 2
    assert "train.batches: was removed in this version" in ended.stderr


def test_an_effort_that_is_typed_wins_over_the_file(whet, tiny_data, tiny_model, record, tmp_path):
    (tmp_path / "recipe.yaml").write_text("effort: quick\nguard: {data: none}\n")
    run = tmp_path / "run"
    typed = ["--model", tiny_model, "--recipe", tmp_path / "recipe.yaml", "--out", run]
    typed += ["--effort", "thorough", "--quiet"]
    with_effort = whet("train", tiny_data, *typed, "--set", "train.epoch=2")
    assert "train.epoch: no such setting" in with_effort.stderr
    assert not run.exists()
