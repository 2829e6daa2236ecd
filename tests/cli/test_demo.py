"""`whet demo`: everything that it needs is on this machine."""

import json

import pytest

from whet.cli import demo


@pytest.mark.slow
def test_the_demo_makes_a_run_of_the_documentation_of_this_python(
    whet, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(demo, "PAIRS", 300)  # enough for a dev split
    monkeypatch.setattr("whet.models.DEFAULT_MODEL", str(tiny_model))
    ended = whet("demo", "--out", tmp_path / "demo", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["model"] == str(tmp_path / "demo" / "run" / "model")
    assert "query: the first line of a docstring" in ended.stderr
    settings = json.loads((tmp_path / "demo" / "run" / "recipe.json").read_text())
    assert settings["resolved"]["guard"]["data"] == "none"
    assert whet("tune", tmp_path / "demo" / "run").returncode == 0
