"""The command as it is typed, and one tiny run of it that several tests look at."""

import os
import subprocess
import sys

import pytest
import yaml

from tiny import RECIPE
from whet.cli.main import main


@pytest.fixture(scope="session")
def fresh():
    """Run the real command in a fresh process, with more in its environment."""
    return _fresh


def _fresh(*arguments, **environment):
    settings = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "whet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=settings | environment)


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
def typed(tiny_data, tiny_model, tmp_path_factory):
    """The arguments of a tiny run: data, and options for model, folder and recipe."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    out = folder / "run"
    return [tiny_data, "--model", tiny_model, "--out", out, "--recipe", folder / "recipe.yaml"], out


@pytest.fixture(scope="session")
def tuned(typed):
    return _fresh("tune", *typed[0], "--json", PYTHONHASHSEED="0")
