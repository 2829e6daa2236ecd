"""`whet recipe`: the resolved recipe of a run, which makes the same run again."""

import yaml


def test_the_recipe_of_a_run_resolves_to_itself(
    whet, finished, tiny_data, tiny_model, record, tmp_path
):
    shown = whet("recipe", finished)
    assert (shown.returncode, shown.stderr) == (0, "")
    recipe = tmp_path / "that.yaml"
    recipe.write_text(shown.stdout, encoding="utf-8")
    out = tmp_path / "again"
    typed = ["--model", tiny_model, "--recipe", recipe, "--out", out, "--quiet"]
    assert whet("mine", tiny_data, *typed).returncode == 0
    assert record(out)["resolved"] == record(finished)["resolved"]
    negatives = [(run / "mine" / "negatives.jsonl").read_bytes() for run in (out, finished)]
    assert negatives[0] == negatives[1]


def test_it_holds_every_setting_as_it_was_resolved(whet, finished, record):
    shown = whet("recipe", finished).stdout
    assert yaml.safe_load(shown) == record(finished)["resolved"]
    recorded = record(finished)
    header = f"# recipe of {finished}; data: {recorded['data']}; model: {recorded['model']}\n"
    assert shown.startswith(header)


def test_lines_are_whole_in_a_narrow_terminal(whet, finished, monkeypatch):
    wide = whet("recipe", finished).stdout
    monkeypatch.setenv("COLUMNS", "20")
    assert whet("recipe", finished).stdout == wide


def test_it_needs_a_run(whet, tmp_path):
    ended = whet("recipe", tmp_path)
    assert ended.returncode == 2
    assert "is not a run of whet" in ended.stderr
