"""What a run was made from: the record in `RUN/recipe.json`, which opens the same run again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whet.errors import ArtifactError, ConfigError
from whet.files import read_json, write_json
from whet.run.recipe import Effort, Recipe
from whet.stage_folder import LOCK, VECTORS

RECIPE_FILE = "recipe.json"
FIXED_KEYS = {"data", "model", "overrides"}
# Files of a run that was stopped before its recipe was recorded.
UNRECORDED_FILES = {LOCK, VECTORS}
UNRECORDED_PREFIXES = ("queries", "paraphrases", "replies.sqlite")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The arguments of a run.

    `data` and `model` are full paths or hub ids; `data` is None for a collection in memory.
    `labels` names a file of audit marks, `test_queries` a table of real test queries. `overrides`
    are recipe values that the user gave. `force` keeps the trained model in any case.
    """

    data: str | None
    model: str
    force: bool
    labels: str | None
    test_queries: str | None
    overrides: Mapping[str, Any]
    effort: Effort

    def to_json(self, recipe: Recipe) -> dict[str, Any]:
        """Give the object of `recipe.json`; `recipe` is what the settings came to for this data."""
        return {
            "data": self.data,
            "model": self.model,
            "force": self.force,
            "labels": self.labels,
            "test_queries": self.test_queries,
            "overrides": dict(self.overrides),
            "effort": recipe.effort,
            "resolved": recipe.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "RunSettings":
        """Undo `to_json`. Earlier versions did not record `labels` and `test_queries`."""
        return cls(
            data=record["data"],
            model=record["model"],
            force=record["force"],
            labels=record.get("labels"),
            test_queries=record.get("test_queries"),
            overrides=record["overrides"],
            effort=record["effort"],
        )

    def with_labels(self, labels: Path | None) -> "RunSettings":
        """The settings with another file of audit marks, where one is given."""
        if labels is None:
            return self
        return replace(self, labels=str(labels.resolve()))

    def with_paraphrases(self, count: int) -> "RunSettings":
        """The settings with `count` paraphrases a query, unless the overrides name a number."""
        generate = {"paraphrases": count} | dict(self.overrides.get("generate", {}))
        return replace(self, overrides={**self.overrides, "generate": generate})


def is_run(path: Path) -> bool:
    """Whether a folder holds a run: a recipe file that says what the run was made from."""
    try:
        record = read_json(path / RECIPE_FILE)
    except ArtifactError:
        return False
    return isinstance(record, dict) and record.keys() >= FIXED_KEYS


def is_run_of(path: Path, data: str) -> bool:
    """Whether a folder holds a run that was made from this data."""
    return is_run(path) and read_settings(path).data == full_name(data)


def read_settings(path: Path) -> RunSettings:
    """Read the settings of a run. Raises ConfigError where the folder holds no run."""
    if not is_run(path):
        raise ConfigError(
            f"{path} is not a run of whet: it has no {RECIPE_FILE} of one. "
            f"Make one with: whet tune DATA --out {path}"
        )
    return RunSettings.from_json(read_json(path / RECIPE_FILE))


def record_settings(path: Path, settings: RunSettings, recipe: Recipe) -> None:
    """Write the recipe file of a run unless it says the same. The caller holds the run's lock."""
    record = settings.to_json(recipe)
    if is_run(path) and read_json(path / RECIPE_FILE) == record:
        return
    write_json(path / RECIPE_FILE, record)


def full_name(name: str | Path) -> str:
    """How settings name data or a model: the full path, or the hub id."""
    if Path(name).exists():
        return str(Path(name).resolve())
    return str(name)


def check_place(path: Path, data: str | None) -> None:
    """Raise ConfigError for a folder that holds something other than a run, such as the data."""
    if data is not None and Path(data).exists() and Path(data).resolve() == path.resolve():
        raise ConfigError(
            f"{path} is the data itself, and a run needs a folder of its own; give another --out"
        )
    if not path.is_dir() or is_run(path) or (path / LOCK).exists():
        return
    foreign = [item for item in path.iterdir() if not _may_be_unrecorded(item.name)]
    if foreign:
        raise ConfigError(f"{path} is not empty and not a run of whet; give another --out")


def _may_be_unrecorded(name: str) -> bool:
    return name in UNRECORDED_FILES or name.startswith(UNRECORDED_PREFIXES)
