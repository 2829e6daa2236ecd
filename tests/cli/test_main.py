"""The command line as it is typed: what goes to stdout, what to stderr, and how it ends."""

import errno
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from tiny import RECIPE, tiny_collection
from whet.run.results import STAGE_NAMES as STAGES

KEYS = [
    *(
        "verdict",
        "measure",
        "base",
        "tuned",
        "bm25",
        "difference",
        "interval",
        "p_value",
        "queries",
    ),
    *("kept_base", "synthetic", "seconds", "peak_memory_mb", "model"),
]
MEASURES = ["nDCG@5", "nDCG@10", "RR@10", "AP@10", "R@100"]


def test_tune_prints_one_object_with_fixed_keys_and_nothing_else_to_stdout(tuned, typed):
    assert tuned.returncode == 0, tuned.stderr
    line, end = tuned.stdout.split("\n")
    assert end == ""
    found = json.loads(line)
    assert list(found) == KEYS
    assert found["verdict"] in ("better", "worse", "not shown")
    assert found["measure"] == "nDCG@10"
    for row in ("base", "tuned", "bm25"):
        assert list(found[row]) == MEASURES
        assert all(0 <= value <= 1 for value in found[row].values())
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert list(found["seconds"]) == list(STAGES)
    assert found["peak_memory_mb"] > 50
    assert found["model"] == str(typed[1] / "model")


def test_progress_goes_to_stderr_plain_when_it_is_no_terminal(tuned):
    assert "dev nDCG@10: base" in tuned.stderr
    assert not [
        mark for mark in ("\x1b", "\r", "it/s", "Warning", "[transformers]") if mark in tuned.stderr
    ]


def test_the_same_command_again_does_nothing_and_prints_the_same(whet, tuned, typed):
    again = whet("evaluate", *typed[0], "--json", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")
    unlike = {"peak_memory_mb"}
    first, second = (
        {k: v for k, v in json.loads(r.stdout).items() if k not in unlike} for r in (tuned, again)
    )
    assert first == second


def test_people_get_a_table_and_the_places(whet, tuned, typed):
    shown = whet("tune", typed[1])
    assert shown.returncode == 0
    assert shown.stderr.count("up to date") == len(STAGES)
    for part in (
        *MEASURES,
        "BM25",
        f'SentenceTransformer("{typed[1]}/model")',
        f"whet compare {typed[1]}",
    ):
        assert part in shown.stdout
    assert "\x1b" not in shown.stdout


def test_quiet_says_nothing_from_the_first_stage_to_the_last(fresh, typed, tmp_path):
    arguments = [str(tmp_path / "run") if value == typed[1] else value for value in typed[0]]
    found = fresh("tune", *arguments, "--quiet", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["model"] == str(tmp_path / "run" / "model")


def test_mined_files_are_the_same_bytes_under_another_hash_seed(fresh, tuned, typed, tmp_path):
    arguments = [tmp_path if value == typed[1] else value for value in typed[0]]
    assert fresh("mine", *arguments, "--quiet", PYTHONHASHSEED="1").returncode == 0
    one, two = (
        {p.name: p.read_bytes() for p in (out / "mine").iterdir() if p.name != "manifest.json"}
        for out in (typed[1], tmp_path)
    )
    assert sorted(one) == ["negatives.jsonl", "summary.json"]
    assert one == two


@pytest.mark.parametrize("verb", ["check", "mine", "generate", "train"])
def test_every_stage_has_a_verb_that_prints_one_object(whet, tuned, typed, verb):
    ended = whet(
        *{"generate": ["generate", "reverse"]}.get(verb, [verb]), typed[1], "--json", "--quiet"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert (found["stage"], found["folder"]) == (verb, str(typed[1] / verb))
    assert len(found) > 2


def test_report_and_export_say_where_they_wrote(whet, tuned, typed, tmp_path):
    assert whet("report", typed[1]).stdout == f"{typed[1] / 'report' / 'index.html'}\n"
    assert whet("export", typed[1], tmp_path / "model").stdout == f"{tmp_path / 'model'}\n"
    weights = [
        (folder / "model" / "model.safetensors").read_bytes() for folder in (typed[1], tmp_path)
    ]
    assert weights[0] == weights[1]


@pytest.fixture
def broken(tmp_path):
    data = tiny_collection(tmp_path / "data")
    (data / "queries.jsonl").write_text("{")
    return data


def test_bad_data_ends_with_2_and_its_place(whet, broken, tmp_path):
    ended = whet("tune", broken, "--out", tmp_path / "run", "--quiet")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error " in ended.stderr
    assert "queries.jsonl:1" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tune", "DATA", "--recipe", "RECIPE", "--out", "NEW"],
            "train.epoch: no such setting; did you mean train.epochs?",
        ),
        (
            ["tune", "DATA", "--seed", "-1", "--out", "NEW"],
            "seed: got -1; expected greater than or equal to 0",
        ),
        (["tune", "DATA", "--train-only", "some", "--out", "NEW"], "train.train_only: "),
        (["tune", "DATA", "--model", "NEW/none", "--out", "NEW"], "cannot be loaded"),
        (["tune", "DATA", "--effort", "huge"], "'huge' is not one of"),
        (["tune", "NEW/nothing-here"], "nothing-here"),
        (["report", "NEW"], "is not a run of whet"),
        (
            ["tune", "DATA", "--out", "DATA"],
            "is the data itself, and a run needs a folder of its own",
        ),
        (
            ["tune", "DATA", "--out", "DATA", "--seed", "1"],
            "is the data itself, and a run needs a folder of its own",
        ),
        (["sharpen"], "No such command 'sharpen'"),
    ],
)
def test_bad_arguments_end_with_2(whet, arguments, message, tiny_data, tmp_path):
    (tmp_path / "recipe.yaml").write_text("train: {epoch: 2}")
    names = {
        "DATA": str(tiny_data),
        "RECIPE": str(tmp_path / "recipe.yaml"),
        "NEW": str(tmp_path / "new"),
    }
    ended = whet(*(names.get(a, a.replace("NEW", names["NEW"])) for a in arguments))
    assert ended.returncode == 2, ended.stderr
    assert message in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_a_hopeless_training_ends_with_1(whet, typed, tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump({"train": RECIPE["train"] | {"learning_rate": 1e30}})
    )
    ended = whet(
        "tune",
        *typed[0][:3],
        "--out",
        tmp_path / "run",
        "--recipe",
        tmp_path / "recipe.yaml",
        "--quiet",
    )
    assert ended.returncode == 1, ended.stderr
    assert "error the loss is " in ended.stderr
    assert "checkpoint" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_version_and_the_help_load_no_torch():
    check = "import sys; from whet.cli.main import app; app(['--help'], standalone_mode=False); "
    check += "assert not {'torch', 'transformers'} & set(sys.modules)"
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert all(
        verb in ended.stdout
        for verb in ("tune", "demo", "check", "mine", "report", "export", "compare")
    )


def test_the_help_says_where_all_settings_are_listed(whet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "docs/RECIPE.md" in whet("tune", "--help").stdout


def test_a_stage_typed_without_options_leaves_a_finished_run_as_it_was_made(whet, tuned, typed):
    manifests = {stage: (typed[1] / stage / "manifest.json").read_bytes() for stage in STAGES}
    before = (typed[1] / "recipe.json").read_bytes()
    for verb in ("check", "evaluate"):
        assert whet(verb, typed[0][0], "--out", typed[1]).returncode == 0
    assert whet("report", typed[1]).returncode == 0
    assert (typed[1] / "recipe.json").read_bytes() == before
    assert manifests == {
        stage: (typed[1] / stage / "manifest.json").read_bytes() for stage in STAGES
    }


def test_a_run_given_as_data_refuses_options_that_it_would_ignore(whet, tuned, typed):
    ended = whet("tune", typed[1], "--effort", "thorough")
    assert ended.returncode == 2
    assert f"give its data ({typed[0][0]}), --out" in ended.stderr
    assert whet("tune", typed[1], "--out", typed[1].parent / "other").returncode == 2
    assert not (typed[1].parent / "other").exists()


@pytest.mark.parametrize(
    ("place", "message"), [("file", "File exists"), ("file/run", "Not a directory")]
)
def test_a_place_where_no_run_can_be_written_is_named(whet, tiny_data, tmp_path, place, message):
    (tmp_path / "file").write_text("mine")
    ended = whet("check", tiny_data, "--out", tmp_path / place)
    assert ended.returncode == 2
    assert f"no run can be written in {tmp_path / place} ({message})" in " ".join(
        ended.stderr.split()
    )
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "meant"), [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EBADF, False)]
)
def test_a_full_disk_ends_with_a_message_and_a_mistake_in_the_code_with_a_traceback(
    whet, tiny_data, tmp_path, monkeypatch, number, meant
):
    def refuse(*_):
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr("whet.artifacts.write_text", refuse)
    with nullcontext() if meant else pytest.raises(OSError, match="somewhere"):
        ended = whet("check", tiny_data, "--out", tmp_path / "run")
        assert ended.returncode == 1
        assert f"{os.strerror(number)}: 'somewhere'" in ended.stderr


def test_a_run_made_with_relative_paths_is_opened_from_anywhere(whet, typed, tmp_path, monkeypatch):
    model = Path(typed[0][2])
    monkeypatch.chdir(model.parent)
    recipe = {
        "guard": {"data": os.path.relpath(typed[0][0])},
        "teach": {"teachers": ["base", "bm25"]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | recipe))
    options = [
        "--model",
        model.name,
        "--out",
        tmp_path / "run",
        "--recipe",
        tmp_path / "recipe.yaml",
    ]
    assert whet("check", typed[0][0], *options).returncode == 0
    monkeypatch.chdir(tmp_path)
    assert whet("check", tmp_path / "run").returncode == 0
    made = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert made["model"] == str(model.resolve())
    assert made["overrides"]["guard"]["data"] == str(Path(typed[0][0]).resolve())
    assert made["overrides"]["teach"]["teachers"] == ["base", "bm25"]
