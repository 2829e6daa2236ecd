"""The public surface is a list, which this test owns; and `whet --help` loads nothing heavy."""

import subprocess
import sys

import pytest

import whet

HEAVY = ["torch", "transformers", "sentence_transformers", "scipy", "pandas", "starlette"]
IMPORT = "import whet"
HELP = "from whet.cli.main import main; sys.argv = ['whet', '--help']; main()"


def test_names_are_few_and_sorted():
    assert whet.__all__ == sorted(set(whet.__all__))
    assert len(whet.__all__) <= 15


@pytest.mark.parametrize("name", whet.__all__)
def test_every_name_can_be_had(name):
    assert getattr(whet, name).__name__ == name


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'tuna'; it has .*tune"):
        whet.tuna  # noqa: B018


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import whet", "whet --help"])
def test_a_fresh_process_loads_nothing_heavy(code):
    tell = f"print([name for name in {HEAVY} if name in sys.modules])"
    script = f"import sys\ntry: {code}\nexcept SystemExit as end: assert not end.code\n{tell}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
