"""What is done with a run that is there: export, report, clean."""

import json
import shutil


def test_a_run_without_a_model_is_not_exported(whet, typed, tmp_path):
    out = tmp_path / "run"
    assert whet("check", *typed[0][:3], "--out", out).returncode == 0
    ended = whet("export", out, tmp_path / "to")
    assert ended.returncode == 2
    assert f"Finish it: whet tune {out}" in ended.stderr.replace("\n", "")


def test_export_needs_a_folder_of_its_own(whet, tuned, typed, monkeypatch, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    ended = whet("export", typed[1], ".")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_results_of_other_data_are_not_shown_as_if_they_were_of_this(whet, tuned, typed, tmp_path):
    shutil.copytree(typed[1], tmp_path / "run")
    shutil.copytree(typed[0][0], tmp_path / "data")
    made = json.loads((tmp_path / "run" / "recipe.json").read_text())
    (tmp_path / "run" / "recipe.json").write_text(
        json.dumps(made | {"data": str(tmp_path / "data")})
    )
    assert whet("report", tmp_path / "run").returncode == 0
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    with (tmp_path / "data" / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "new", "text": "one passage more"}\n')
    for ended in (
        whet("report", tmp_path / "run"),
        whet("export", tmp_path / "run", tmp_path / "to"),
    ):
        assert ended.returncode == 2
        assert "is not what its results were made from" in ended.stderr.replace("\n", " ")
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_results_of_different_makings_are_not_shown_as_one(whet, tuned, typed, tmp_path):
    """After `tune`, a stage alone with other options changes the recipe, and a stage or two."""
    run, (data, *options) = tmp_path / "run", typed[0]
    shutil.copytree(typed[1], run)
    options[options.index("--out") + 1] = run
    assert whet("export", run, tmp_path / "first").returncode == 0
    assert whet("train", data, *options, "--train-only", "last-1").returncode == 0
    for ended in (whet("report", run), whet("export", run, tmp_path / "to")):
        assert ended.returncode == 2
        assert "holds results of different makings" in ended.stderr.replace("\n", " ")
    assert whet("check", data, *options).returncode == 0  # the recipe is as before, training is not
    assert whet("report", run).returncode == 2
    assert whet("tune", run).returncode == 0
    assert whet("report", run).returncode == 0


def test_clean_frees_what_can_be_computed_again_and_nothing_else(whet, tuned, typed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(typed[1], run)
    before = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    size = sum(path.stat().st_size for path in (run / "vectors").iterdir())
    ended = whet("clean", run)
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"{size / 2**20:,.1f} MiB freed")
    after = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    assert size > 0
    assert {path.parts[0] for path in before - after} == {"vectors"}
    for left in (
        "train.partial/scratch/checkpoint-1",
        "train.partial/refresh/round-1/scratch/model",
    ):
        (run / left).mkdir(parents=True)
        (run / left / "model.safetensors").write_bytes(bytes(2**20))
    assert whet("clean", run).stdout.startswith(
        f"2.0 MiB freed in {run}; what was interrupted there starts from its"
    )
    assert not [path for path in (run / "train.partial").rglob("*") if path.is_file()]
    assert whet("clean", tmp_path).returncode == 2
