"""The command as it is typed, and one finished tiny run that all its tests share."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tiny import RECIPE, tiny_collection
from whet.cli.main import main


@pytest.fixture(scope="session")
def fresh():
    """Run the real command in a fresh process, with more in its environment."""

    def run(*arguments, **environment):
        settings = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, "-m", "whet", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=settings | environment)

    return run


@pytest.fixture
def whet(monkeypatch, capfd):
    """Run the real command in this process, which saves its imports."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["whet", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, end.value.code or 0, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory):
    """A recipe with which a run takes a second."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(scope="session")
def options(tiny_data, tiny_model, recipe_file):
    """Return a function from a run's folder to the arguments of a tiny run in it."""

    def into(out):
        return [tiny_data, "--model", tiny_model, "--recipe", recipe_file, "--out", out]

    return into


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Where the shared run is made."""
    return tmp_path_factory.mktemp("cli") / "run"


@pytest.fixture(scope="session")
def tuned(fresh, options, run_folder):
    """The ended process that made the shared run."""
    ended = fresh("tune", *options(run_folder), "--json", PYTHONHASHSEED="0")
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="session")
def finished(tuned, run_folder):
    """The folder of the shared run, finished. Tests must leave it as it is."""
    return run_folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def record():
    """Return a function that reads a run's recipe file, with changes written into it."""

    def change(run, **changes):
        path = run / "recipe.json"
        content = json.loads(path.read_text()) | changes
        if changes:
            path.write_text(json.dumps(content))
        return content

    return change


@pytest.fixture
def broken_data(tmp_path):
    """A BEIR folder with a broken line."""
    data = tiny_collection(tmp_path / "data")
    (data / "queries.jsonl").write_text("{")
    return data
