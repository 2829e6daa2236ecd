"""Documentation is examples that run: those in docstrings, and the Python blocks of the README."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples():
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def blocks(text):
    """The ```python blocks of a Markdown text, each pushed down to its own line, so that errors name that line."""
    for match in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield "\n" * text[: match.start(1)].count("\n") + match.group(1)


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_blocks(tmp_path, monkeypatch):
    readme = ROOT / "README.md"
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    for block in blocks(readme.read_text(encoding="utf-8")):
        exec(compile(block, str(readme), "exec"), names)
