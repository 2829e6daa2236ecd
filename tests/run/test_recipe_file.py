"""Recipes as files: what is read, what is refused, and what is written for `--recipe`."""

import json

import pytest
import yaml

from recipes import collection_of
from whet.errors import ConfigError
from whet.run.recipe import KEYS, PARTS, Recipe, derive
from whet.run.recipe_errors import RecipeError
from whet.run.recipe_file import (
    read_recipe,
    read_setting,
    recipe_as_yaml,
    recorded_recipe,
    with_full_paths,
)


def test_a_recipe_is_read_from_yaml(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 4\ntrain: {learning_rate: 1.0e-3, trackers: [tensorboard]}\n")
    recipe = derive(collection_of(9), "standard", read_recipe(path))
    assert (recipe.seed, recipe.train.peak_learning_rate, recipe.train.trackers) == (
        4,
        1e-3,
        ("tensorboard",),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be opened: No such file or directory"),
        ("train: {epochs: 2", "cannot be read as YAML"),
        ("- train", "holds list, expected a mapping such as"),
        ("", "holds NoneType, expected a mapping such as"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_by_file(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: {message}"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("train.epochs=2", ("train.epochs", 2)),
        ("seed=4", ("seed", 4)),
        ("refresh.times=off", ("refresh.times", False)),
        ("mine.relative_margin=null", ("mine.relative_margin", None)),
        ("guard.data=a=b", ("guard.data", "a=b")),
        ("generate.styles=[question, long]", ("generate.styles", ["question", "long"])),
    ],
)
def test_a_setting_is_a_key_and_a_value_in_yaml(text, setting):
    assert read_setting(text) == setting


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.epochs", "expected KEY=VALUE, such as --set train.epochs=2"),
        ("=2", "expected KEY=VALUE"),
        ("train={epochs: 2}", "train is a group of settings; set one of them"),
        ("train.epochs=[2", "cannot be read as YAML"),
    ],
)
def test_what_is_no_setting_is_refused(text, message):
    with pytest.raises(ConfigError) as error:
        read_setting(text)
    assert str(error.value).startswith(f"--set {text}: ")
    assert message in str(error.value)


RECIPES = [
    {},
    {"train": {"learning_rate": 1e-5, "train_only": "last-2+norms", "prefix_cache": "off"}},
    {"moe": {"experts": 2, "layers": [0, 1]}, "mine": {"relative_margin": None}},
    {"refresh": {"times": "off"}, "guard": {"data": "none", "shares": [0.5, 1]}},
    {"effort": "thorough", "seed": 5, "generate": {"prompts": "a: b", "styles": ["long"]}},
]


@pytest.mark.parametrize("overrides", RECIPES)
@pytest.mark.parametrize("pairs", [30, 900])
def test_a_written_recipe_comes_to_the_same_recipe(overrides, pairs, tmp_path):
    recipe = derive(collection_of(pairs), "standard", overrides)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_as_yaml(recipe), encoding="utf-8")
    for other in (pairs, 2_000):
        assert derive(collection_of(other), "quick", read_recipe(path)) == recipe


def test_a_written_recipe_tells_what_each_setting_is():
    text = recipe_as_yaml(Recipe())
    assert max(len(line) for line in text.splitlines()) <= 100
    words = " ".join(text.replace("#", " ").split())
    for key, field in KEYS.items():
        assert " ".join(field.description.split()) in words
        assert f"{key.rpartition('.')[2]}:" in words
    assert list(yaml.safe_load(text)) == [
        *(key for key in Recipe.model_fields if f"{key}." not in PARTS),
        *(prefix.removesuffix(".") for prefix in PARTS if prefix),
    ]


def record(folder, **changes):
    """Write the recipe file of a run with these changes of its resolved recipe."""
    resolved = Recipe().model_dump(mode="json")
    for part, values in changes.items():
        resolved[part] = resolved[part] | values
    fixed = {"data": "d", "model": "m", "overrides": {}, "force": False, "effort": "standard"}
    (folder / "recipe.json").write_text(json.dumps(fixed | {"resolved": resolved}))


def test_the_recipe_of_a_run_is_read_without_its_data(tmp_path):
    record(tmp_path, train={"epochs": 7})
    assert recorded_recipe(tmp_path).train.epochs == 7


def test_the_recipe_of_an_earlier_version_is_read_unless_it_did_what_was_removed(tmp_path, caplog):
    record(tmp_path, train={"batches": "random"}, refresh={"replay": None})
    assert recorded_recipe(tmp_path) == Recipe()
    assert len(caplog.messages) == 1
    record(tmp_path, train={"batches": "neighbour"})
    with pytest.raises(RecipeError, match=r"train\.batches: was removed in this version"):
        recorded_recipe(tmp_path)


def test_a_folder_without_a_run_has_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="is not a run of whet"):
        recorded_recipe(tmp_path)


def test_files_are_named_by_their_full_paths_and_words_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "bm25", "prompts"):
        (tmp_path / name).mkdir()
    overrides = {
        "guard": {"data": "mine", "budget": 0.1},
        "generate": {"generator": "local:mine", "prompts": "prompts"},
        "teach": {"teachers": ["base", "bm25", "cross:mine", "file:absent"]},
        "seed": 4,
    }
    assert with_full_paths(overrides) == {
        "guard": {"data": str(tmp_path / "mine"), "budget": 0.1},
        "generate": {"generator": f"local:{tmp_path}/mine", "prompts": str(tmp_path / "prompts")},
        "teach": {"teachers": ["base", "bm25", f"cross:{tmp_path}/mine", "file:absent"]},
        "seed": 4,
    }
