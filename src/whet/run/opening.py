"""Open a run: read its data and settle what it is made from. Nothing is written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.data.cut import Cutter
from whet.data.query_table import with_test_queries
from whet.data.read import read
from whet.errors import ConfigError, Fault, raise_errors
from whet.generate.spending import Confirm, refuse
from whet.models import load_model
from whet.records import Collection
from whet.run.folder import Run
from whet.run.recipe import Effort, Recipe, derive
from whet.run.recipe_errors import without_removed_defaults
from whet.run.recipe_file import with_full_paths
from whet.run.settings import RunSettings, check_place, full_name, read_settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

EMPTY = Collection("", {}, {}, {})


def open_run(
    data: str | Path | Collection,
    model: str,
    out: str | Path,
    *,
    effort: Effort = "standard",
    overrides: Mapping[str, Any] | None = None,
    force: bool = False,
    labels: Path | None = None,
    test_queries: Path | None = None,
    confirm: Confirm = refuse,
) -> Run:
    """Open the run that these arguments describe; its folder need not exist.

    `labels` is a file of marks on audited pairs (`whet.data.audit_marks`). `test_queries` is a
    table of real queries for data that has none (`whet.data.query_table`). `confirm` is asked
    before a language model's server is paid.

    Raises DataError with every fault of the data, ConfigError on a bad setting or place.
    """
    settings = RunSettings(
        data=None if isinstance(data, Collection) else full_name(data),
        model=full_name(model),
        force=force,
        labels=str(labels.resolve()) if labels else None,
        test_queries=str(test_queries.resolve()) if test_queries else None,
        overrides=with_full_paths(overrides or {}),
        effort=effort,
    )
    return _open(Path(out), data, settings, confirm)


def reopen(
    path: Path,
    labels: Path | None = None,
    *,
    paraphrases: int = 0,
    confirm: Confirm = refuse,
) -> Run:
    """Open a run that exists, with the settings in its folder.

    `labels` replace those of the settings. `paraphrases` is the number that is asked for where the
    settings name none. Raises ConfigError where there is no run, or one of data in memory.
    """
    settings = read_settings(path).with_labels(labels)
    overrides = without_removed_defaults(settings.overrides)
    settings = replace(settings, overrides=overrides)
    data = settings.data
    if data is None:
        raise ConfigError(
            f"{path} was made from data in memory, so only whet.tune can continue it. "
            "For runs that commands can open, give whet.tune the path of the data"
        )
    if paraphrases:
        settings = settings.with_paraphrases(paraphrases)
    return _open(path, data, settings, confirm)


def _open(
    path: Path, data: str | Path | Collection, settings: RunSettings, confirm: Confirm
) -> Run:
    check_place(path, settings.data)
    recipe = derive(EMPTY, settings.effort, settings.overrides)
    collection, faults = _read(data, settings.model, recipe)
    if settings.test_queries is not None:
        collection = with_test_queries(collection, Path(settings.test_queries))
    return Run(path, collection, faults, settings, confirm)


def _read(
    data: str | Path | Collection, model: str, recipe: Recipe
) -> tuple[Collection, tuple[Fault, ...]]:
    """The data and its warnings, documents cut as the recipe says. Raises DataError."""
    if isinstance(data, Collection):
        return data, ()
    collection, faults = read(data, _cutter_of(model, recipe))
    raise_errors(faults)
    return collection, tuple(faults)


def _cutter_of(model_name: str, recipe: Recipe) -> Callable[[], Cutter]:
    """How documents are cut: by the model's own tokens, no longer than the model reads.

    The model is loaded only where there are documents to cut.
    """

    @cache
    def model() -> "SentenceTransformer":
        return load_model(model_name)

    def cutter() -> Cutter:
        from whet.encoder import token_lengths

        limit = recipe.max_length or model().max_seq_length or recipe.passage_tokens
        passage_tokens = min(recipe.passage_tokens, limit)
        return Cutter(lambda texts: token_lengths(model(), texts), passage_tokens)

    return cutter
