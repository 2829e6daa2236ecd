"""Documentation is examples that run: docstrings, the README's Python, the page of settings."""

import doctest
import importlib
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from whet.records import Collection, Passage
from whet.run.recipe import KEYS, PARTS, Recipe, derive

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples():
    paths = [
        path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")
    ]
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    ]


def blocks(text):
    """The ```python blocks of a Markdown text, each at its own line, so that errors name it."""
    for match in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield "\n" * text[: match.start(1)].count("\n") + match.group(1)


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.slow
def test_readme_blocks(tmp_path, monkeypatch):
    readme = ROOT / "README.md"
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    for block in blocks(readme.read_text(encoding="utf-8")):
        exec(compile(block, str(readme), "exec"), names)


@pytest.fixture(scope="module")
def script():
    """The names in scripts/recipe_docs.py."""
    return runpy.run_path(str(ROOT / "scripts" / "recipe_docs.py"))


@pytest.fixture(scope="module")
def collection():
    """Enough training pairs that no setting derived from them is its field's default by chance."""
    queries = {f"q{i}": "text" for i in range(99)}
    qrels = {"train": {query: {"p": 1} for query in queries}}
    return Collection("made", {"p": Passage("p", "text")}, queries, qrels)


def test_the_page_of_settings_is_up_to_date_and_whole(script):
    page = (ROOT / "docs" / "RECIPE.md").read_text(encoding="utf-8")
    assert page == script["page"](), "run scripts/recipe_docs"
    assert max(len(line) for line in page.splitlines()) <= 100
    assert re.findall(r"^- `([a-z_.0-9]+)`: ", page, flags=re.MULTILINE) == [
        key for key in KEYS if f"{key}." not in PARTS
    ]
    words = " ".join(page.split())
    assert all(" ".join(KEYS[key].description.split()) in words for key in KEYS)


def test_the_page_of_settings_knows_which_defaults_are_derived(script, collection):
    def flat(recipe):
        found = recipe.model_dump()
        return {
            key: found[part][name] if part else found[name]
            for key in KEYS
            for part, _, name in [key.rpartition(".")]
        }

    written = replace(collection, synthetic=frozenset({"train"}))
    plain, derived = flat(Recipe()), flat(derive(written, "standard", {"seed": 5}))
    changed = {key for key in KEYS if plain[key] != derived[key] and f"{key}." not in PARTS}
    assert changed == {"seed", *script["DERIVED"]}


def test_the_example_on_the_page_of_settings_holds(script, collection):
    (example,) = re.findall(r"^```yaml\n(.*?)^```", script["HEAD"], flags=re.DOTALL | re.MULTILINE)
    recipe = derive(collection, "standard", yaml.safe_load(example))
    assert (recipe.max_length, recipe.train.epochs, recipe.train.train_only) == (128, 2, "last-2")
