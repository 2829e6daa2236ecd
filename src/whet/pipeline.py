"""The main job: all stages of a run in their order, and `build`, which brings them up to date.

Each stage is one file of `whet.stages` and one folder of the run. Data flows one way, through those
folders (see `whet.stage_folder`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from whet.errors import ConfigError
from whet.models import DEFAULT_MODEL
from whet.records import Collection
from whet.run.folder import Run
from whet.run.opening import open_run
from whet.run.recipe import Effort, describe_recipe
from whet.run.settings import record_settings
from whet.stage_folder import Artifact, locked
from whet.stages import (
    audit,
    check,
    evaluate,
    generate,
    mine,
    model,
    paraphrases,
    queries,
    report,
    teach,
)
from whet.stages.train import stage as train

logger = logging.getLogger(__name__)

Build: TypeAlias = Callable[[Run, Mapping[str, Artifact]], Artifact | None]
"""Brings one stage up to date, given those before it; None where the recipe does not need it."""

STAGES: Mapping[str, Build] = {
    "queries": queries.build,
    "paraphrases": paraphrases.build,
    "check": check.build,
    "mine": mine.build,
    "generate": generate.build,
    "teach": teach.build,
    "train": train.build,
    "evaluate": evaluate.build,
    "report": report.build,
    "model": model.build,
}

CHECKS: Mapping[str, Callable[[Run], None]] = {
    "queries": queries.check_settings,
    "teach": teach.check_settings,
    "train": train.check_settings,
}
"""Checks of settings before any work, by the stage that needs them."""

DATA_STAGES = ("queries", "paraphrases")  # they complete the data, on which the recipe depends


def tune(
    data: str | Path | Collection,
    model: str = DEFAULT_MODEL,
    out: str | Path = "runs/whet",
    *,
    effort: Effort = "standard",
    overrides: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Run:
    """Make a model better for this data, or show that it is not; the README says what comes out.

    `model` is a folder or hub id of a sentence-transformers model, `out` the run's folder. The same
    call again continues where it stopped. `overrides` are recipe values (nested mappings). `force`
    keeps the trained model even if dev shows no gain.

    Raises DataError with every fault of the data, ConfigError on a bad setting, TrainingError on a
    hopeless training.
    """
    return build(open_run(data, model, out, effort=effort, overrides=overrides, force=force))


def build(run: Run, until: str = "model") -> Run:
    """Bring the stages of a run up to date, the last one being `until`.

    Raises ConfigError when another process builds in the run's folder, or when a setting cannot
    work with the model or the data.
    """
    names = _stages_until(until)
    for name in names:
        if name in CHECKS:
            CHECKS[name](run)
    done: dict[str, Artifact] = {}
    with locked(run.path):
        for number, name in enumerate(names, start=1):
            if name not in DATA_STAGES and "check" not in done:
                _record(run)
            artifact = STAGES[name](run, done)
            if artifact is None:
                continue
            done[name] = artifact
            if not artifact.skipped:
                logger.info(f"{name}: done in {artifact.seconds:.0f} s, {number} of {len(names)}")
        if until in DATA_STAGES:
            record_settings(run.path, run.settings, run.recipe_before_paraphrases)
    return run


def build_audit(run: Run) -> Artifact:
    """Bring `RUN/audit` up to date, and before it the stages without which the data is not whole.

    The audit is no stage of `tune`: somebody asks for it, before or after training. Raises
    TeacherError when a teacher fails, ConfigError when a name means no teacher.
    """
    audit.check_settings(run)
    with locked(run.path):
        if run.lacks_queries:
            queries.build(run, {})
        paraphrases.build(run, {})
        record_settings(run.path, run.settings, run.recipe)
        return audit.build(run, {})


def _stages_until(until: str) -> Sequence[str]:
    names = list(STAGES)
    if until not in names:
        raise ConfigError(f"no stage is called {until!r}; the stages are {', '.join(names)}")
    return names[: names.index(until) + 1]


def _record(run: Run) -> None:
    """Write the recipe into the run's folder, and log it in one line, once the data is complete."""
    record_settings(run.path, run.settings, run.recipe)
    logger.info(f"{describe_recipe(run.recipe, run.collection)}; model {run.base}")
