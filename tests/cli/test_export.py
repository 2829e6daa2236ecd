"""`whet export`: the model of a finished run, and only of a run whose results belong together."""

import shutil


def test_the_model_is_copied_and_its_place_printed(whet, finished, tmp_path):
    assert whet("export", finished, tmp_path / "model").stdout == f"{tmp_path / 'model'}\n"
    exported = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert exported == (finished / "model" / "model.safetensors").read_bytes()


def test_a_run_without_a_model_is_not_exported(whet, tiny_data, tiny_model, tmp_path):
    out = tmp_path / "run"
    assert whet("check", tiny_data, "--model", tiny_model, "--out", out).returncode == 0
    ended = whet("export", out, tmp_path / "to")
    assert ended.returncode == 2
    assert f"Finish it: whet tune {out}" in ended.stderr


def test_an_export_needs_a_folder_of_its_own(whet, finished, monkeypatch, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    ended = whet("export", finished, ".")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_model_without_experts_cannot_be_merged(whet, finished, tmp_path):
    for options in (["--merge"], ["--merge-by", "regression"]):
        ended = whet("export", finished, tmp_path / "to", *options)
        assert ended.returncode == 2
        assert "the model has no experts" in ended.stderr
    assert not (tmp_path / "to").exists()


def test_an_unknown_format_is_refused(whet, finished, tmp_path):
    ended = whet("export", finished, tmp_path / "to", "--format", "gguf")
    assert ended.returncode == 2
    assert "gguf" in ended.stderr
    assert not (tmp_path / "to").exists()


def test_results_of_other_data_are_not_shown_as_if_they_were_of_this(
    whet, copied, record, tiny_data, tmp_path
):
    shutil.copytree(tiny_data, tmp_path / "data")
    record(copied, data=str(tmp_path / "data"))
    assert whet("report", copied).returncode == 0
    before = (copied / "recipe.json").read_bytes()
    with (tmp_path / "data" / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "new", "text": "one passage more"}\n')
    for ended in (whet("report", copied), whet("export", copied, tmp_path / "to")):
        assert ended.returncode == 2
        assert "is not what its results were made from" in ended.stderr
    assert (copied / "recipe.json").read_bytes() == before


def test_results_of_different_recipes_are_not_shown_as_one(whet, copied, options, tmp_path):
    """After `tune`, a stage alone with other options changes the recipe, and a stage or two."""
    assert whet("mine", *options(copied), "--set", "mine.depth=50").returncode == 0
    for ended in (whet("report", copied), whet("export", copied, tmp_path / "to")):
        assert ended.returncode == 2
        assert "holds results of different recipes" in ended.stderr
    # The recipe is as before now, mining is not.
    assert whet("check", *options(copied)).returncode == 0
    assert whet("report", copied).returncode == 2
    assert whet("tune", copied).returncode == 0
    assert whet("report", copied).returncode == 0
