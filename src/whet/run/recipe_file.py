"""Recipes as YAML files: read one, write one, and single settings as KEY=VALUE."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from whet.errors import ConfigError
from whet.files import read_json
from whet.run.recipe import KEYS, PARTS, Recipe
from whet.run.recipe_errors import (
    MAPPING_EXPECTED,
    Settings,
    recipe_error,
    without_removed_defaults,
)
from whet.run.settings import RECIPE_FILE, read_settings
from whet.train.forgetting_config import NO_GUARD, PYDOC

COMMENT_WIDTH = 98

# Settings that may name a file or folder.
PATH_SETTINGS = {
    "guard": ("data",),
    "generate": ("generator", "prompts"),
    "teach": ("teachers",),
}
# Values of these settings that are never a path, whatever the current folder holds.
WORDS = {PYDOC, NO_GUARD, "base", "bm25", "bm25-characters", "offline"}


def read_recipe(path: Path) -> dict[str, Any]:
    """Read overrides from a YAML file. Raises ConfigError if it is unreadable or no mapping."""
    try:
        overrides = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be opened: {error.strerror}. Check the path of the recipe."
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: cannot be read as YAML ({error}). {MAPPING_EXPECTED.capitalize()}."
        ) from error
    if not isinstance(overrides, dict):
        kind = type(overrides).__name__
        raise ConfigError(f"{path}: holds {kind}, {MAPPING_EXPECTED}.")
    return overrides


def read_setting(text: str) -> tuple[str, Any]:
    """Read `KEY=VALUE`, where KEY is a recipe key with dots and VALUE is YAML.

    Raises ConfigError for another form. Whether the key exists is checked with the whole recipe.

    >>> read_setting("train.epochs=2"), read_setting("teach.teachers=[base, bm25]")
    (('train.epochs', 2), ('teach.teachers', ['base', 'bm25']))
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, such as --set train.epochs=2")
    if f"{key}." in PARTS:
        raise ConfigError(f"--set {text}: {key} is a group of settings; set one of them")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value cannot be read as YAML ({error})") from error


def recorded_recipe(run_folder: Path) -> Recipe:
    """The resolved recipe of a run, as its folder records it; the data is not read.

    Raises ConfigError where the folder is no run, or its recipe has settings that this version
    cannot follow.
    """
    read_settings(run_folder)  # raises where the folder is no run
    recorded = read_json(run_folder / RECIPE_FILE)["resolved"]
    try:
        return Recipe.model_validate(without_removed_defaults(recorded))
    except ValidationError as error:
        raise recipe_error(error, KEYS) from error


def recipe_as_yaml(recipe: Recipe) -> str:
    """A recipe as a file for `--recipe`, each setting below its description."""
    settings = recipe.model_dump(mode="json")
    lines: list[str] = []
    for prefix in PARTS:
        part = prefix.removesuffix(".")
        if part:
            lines.append("")
            lines.append(f"# ---- {KEYS[part].description}")
            lines.append(f"{part}:")
        values = settings[part] if part else settings
        lines += _setting_lines(prefix, values)
    return "\n".join(lines) + "\n"


def _setting_lines(prefix: str, values: Settings) -> Iterator[str]:
    indent = "  " if prefix else ""
    for name, value in values.items():
        key = prefix + name
        if f"{key}." in PARTS:
            continue
        comment = f"{indent}# "
        yield from textwrap.wrap(
            KEYS[key].description or "",
            COMMENT_WIDTH,
            initial_indent=comment,
            subsequent_indent=comment,
        )
        style = None if isinstance(value, list) else False  # lists on one line
        setting = yaml.safe_dump({name: value}, default_flow_style=style, allow_unicode=True)
        yield textwrap.indent(setting.rstrip("\n"), indent)


def with_full_paths(overrides: Settings) -> Settings:
    """Overrides that name files and folders by their full paths, to be opened from anywhere."""
    result = dict(overrides)
    for part, names in PATH_SETTINGS.items():
        settings = result.get(part)
        if not isinstance(settings, Mapping):
            continue
        resolved = dict(settings)
        for name in names:
            if name in resolved:
                resolved[name] = _full_path(resolved[name])
        result[part] = resolved
    return result


def _full_path(value: Any) -> Any:
    """The full path of a path, alone or behind `KIND:`; of each item of a list; else the value."""
    if isinstance(value, list | tuple):
        return [_full_path(item) for item in value]
    if not isinstance(value, str) or not value or value in WORDS:
        return value
    if Path(value).exists():
        return str(Path(value).resolve())
    kind, colon, path = value.rpartition(":")
    if colon and path and Path(path).exists():
        return f"{kind}:{Path(path).resolve()}"
    return value
