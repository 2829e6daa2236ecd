"""`whet demo`: its data is made from the documentation of this Python."""

import pytest

from whet.cli import demo
from whet.cli.opening import open_finished
from whet.data.read import read
from whet.models import DEFAULT_MODEL


@pytest.mark.slow
def test_the_demo_tunes_the_packaged_model_on_data_that_it_writes(
    whet, finished, tmp_path, monkeypatch
):
    """The training itself, of minutes, is `make demo`; here a finished run stands for it."""
    calls = []

    def tune(*arguments, **options):
        calls.append((arguments, options))
        return open_finished(finished)

    monkeypatch.setattr("whet.pipeline.tune", tune)
    monkeypatch.setattr(demo, "PAIRS", 50)
    out = tmp_path / "demo"
    ended = whet("demo", "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert "queries that gained most" in ended.stdout
    assert f"whet compare {finished}" in ended.stdout
    command = f"whet tune {out / 'data'} --model {DEFAULT_MODEL} --out {out / 'run'} --guard none"
    assert command in ended.stderr.splitlines()
    no_guard = {"overrides": {"guard": {"data": "none"}}}
    assert calls == [((out / "data", DEFAULT_MODEL, out / "run"), no_guard)]
    collection, faults = read(out / "data")
    assert not [fault for fault in faults if fault.level == "error"]
    assert 40 < len(collection.passages) <= 50
