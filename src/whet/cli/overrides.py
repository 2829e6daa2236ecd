"""Recipe overrides from a recipe file and from options.

Options win over the file. A named option and `--set` must not give one key different values.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whet.cli.options import Setting
from whet.errors import ConfigError
from whet.run.recipe import KEYS, merged
from whet.run.recipe_errors import RecipeError, Settings
from whet.run.recipe_file import read_recipe

NEGATIVES_OPTION = "--negatives"
MINED_NEGATIVES = "mine.negatives"


def overrides_of(recipe_file: Path | None, settings: Sequence[Setting]) -> Settings:
    """Nested overrides: those of the file, under those of the options.

    Raises ConfigError where two options contradict each other, or the file gives a single value for
    a group of settings.
    """
    overrides: dict[str, Any] = {}
    if recipe_file is not None:
        overrides = read_recipe(recipe_file)
    given = _without_contradictions(settings)
    for setting in given.values():
        part, _, name = setting.key.rpartition(".")
        if not part:
            overrides[name] = setting.value
            continue
        values = overrides.get(part)
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            example = f"`{part}: {{{name}: {setting.value}}}`"
            raise ConfigError(
                f"{recipe_file}: {part} is {values!r}, expected a mapping such as {example}"
            )
        overrides[part] = {**values, name: setting.value}
    return _with_enough_mined(overrides, given)


def _without_contradictions(settings: Sequence[Setting]) -> dict[str, Setting]:
    """The settings by key."""
    given: dict[str, Setting] = {}
    for setting in settings:
        other = given.setdefault(setting.key, setting)
        # As texts: --refresh 2 gives '2', --set refresh.times=2 gives 2.
        if str(other.value) != str(setting.value):
            raise ConfigError(
                f"{other.option} and {setting.option} give {setting.key} different values; "
                "leave one of them out"
            )
    return given


def _with_enough_mined(overrides: Settings, given: Mapping[str, Setting]) -> Settings:
    """Raise mine.negatives to --negatives, unless somebody set it."""
    setting = given.get("train.negatives")
    if setting is None or setting.option != NEGATIVES_OPTION:
        return overrides
    if setting.value <= KEYS[MINED_NEGATIVES].default:
        return overrides
    return merged({"mine": {"negatives": setting.value}}, overrides)


@contextmanager
def naming_options(settings: Sequence[Setting]) -> Iterator[None]:
    """Let faults of a recipe name the option that gave the value."""
    options = {setting.key: setting.option for setting in settings}
    try:
        yield
    except RecipeError as error:
        raise error.with_options(options) from error
