"""`whet tune`: what goes to stdout, what to stderr, and how a run is continued."""

import json

import pytest

from whet.run.results import STAGE_NAMES

KEYS = ["verdict", "measure", "base", "tuned", "bm25", "difference", "interval", "p_value"]
KEYS += ["queries", "kept_base", "synthetic", "seconds", "peak_memory_mb", "model"]
MEASURES = ["nDCG@5", "nDCG@10", "RR@10", "AP@10", "R@100"]
STAGES = [name for name in STAGE_NAMES if name not in ("queries", "paraphrases")]
TERMINAL_MARKS = ("\x1b", "\r", "it/s", "Warning", "[transformers]")


def test_one_object_with_fixed_keys_and_nothing_else_goes_to_stdout(tuned, finished):
    line, end = tuned.stdout.split("\n")
    assert end == ""
    result = json.loads(line)
    assert list(result) == KEYS
    assert result["verdict"] in ("better", "worse", "not shown")
    assert result["measure"] == "nDCG@10"
    for row in ("base", "tuned", "bm25"):
        assert list(result[row]) == MEASURES
        assert all(0 <= value <= 1 for value in result[row].values())
    assert result["interval"][0] <= result["difference"] <= result["interval"][1]
    assert list(result["seconds"]) == STAGES
    assert result["peak_memory_mb"] > 50
    assert result["model"] == str(finished / "model")


def test_progress_goes_to_stderr_and_is_plain_text_without_a_terminal(tuned):
    assert "dev nDCG@10: base" in tuned.stderr
    for mark in TERMINAL_MARKS:
        assert mark not in tuned.stderr


def test_people_get_a_table_and_the_places(whet, finished):
    shown = whet("tune", finished)
    assert shown.returncode == 0
    assert shown.stderr.count("up to date") == len(STAGES)
    for part in (*MEASURES, "BM25", f'SentenceTransformer("{finished}/model")'):
        assert part in shown.stdout
    assert f"whet compare {finished}" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_quiet_shows_nothing_from_the_first_stage_to_the_last(whet, options, tmp_path):
    arguments = [*options(tmp_path / "run"), "--set", "train.epochs=1", "--quiet", "--json"]
    ended = whet("tune", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["model"] == str(tmp_path / "run" / "model")


def test_a_run_as_data_refuses_options_that_it_would_ignore(whet, finished, tiny_data, tmp_path):
    for options in (["--effort", "thorough"], ["--set", "train.warmup=0"], ["--epochs", "2"]):
        ended = whet("tune", finished, *options)
        assert ended.returncode == 2
        assert f"give its data ({tiny_data}), --out" in ended.stderr
    assert whet("tune", finished, "--out", tmp_path / "other").returncode == 2
    assert not (tmp_path / "other").exists()


def test_bad_data_ends_with_2_and_its_place(whet, broken_data, tmp_path):
    ended = whet("tune", broken_data, "--out", tmp_path / "run", "--quiet")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error " in ended.stderr
    assert "queries.jsonl:1" in ended.stderr
    assert "Traceback" not in ended.stderr


RECIPE_FAULT = "train.epoch: no such setting; did you mean train.epochs?"
IS_DATA = "is the data itself, and a run needs a folder of its own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "RECIPE", "--out", "NEW"], RECIPE_FAULT),
        (["--set", "train.epoch=2", "--out", "NEW"], f"{RECIPE_FAULT} (given by --set train.ep"),
        (["--epochs", "0", "--out", "NEW"], "train.epochs: got 0; expected greater than or eq"),
        (["--epochs", "2", "--set", "train.epochs=3"], "give train.epochs different values"),
        (["--set", "epochs"], "--set epochs: expected KEY=VALUE"),
        (["--seed", "-1", "--out", "NEW"], "seed: got -1; expected greater than or equal to 0"),
        (["--train-only", "some", "--out", "NEW"], "train.train_only: "),
        (["--model", "NEW/none", "--out", "NEW"], "cannot be loaded"),
        (["--effort", "huge"], "'huge' is not one of"),
        (["--loss", "mse"], "'mse' is not one of"),
        (["--out", "DATA"], IS_DATA),
        (["--out", "DATA", "--seed", "1"], IS_DATA),
    ],
)
def test_bad_options_end_with_2(whet, arguments, message, tiny_data, tmp_path):
    (tmp_path / "recipe.yaml").write_text("train: {epoch: 2}")
    names = {"DATA": tiny_data, "RECIPE": tmp_path / "recipe.yaml"}
    new = str(tmp_path / "new")
    typed = [names.get(word, word.replace("NEW", new)) for word in arguments]
    ended = whet("tune", tiny_data, *typed)
    assert ended.returncode == 2, ended.stderr
    assert message in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_data_that_is_nowhere_ends_with_2(whet, tmp_path):
    ended = whet("tune", tmp_path / "nothing-here")
    assert ended.returncode == 2
    assert "nothing-here" in ended.stderr
