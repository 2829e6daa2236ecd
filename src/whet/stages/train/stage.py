"""Stage `train`: train every candidate of the recipe, and keep the best one or the base model.

Reads RUN/mine, RUN/generate, RUN/teach. Writes model/, result.json, log.jsonl, dev/ (scores) and
refresh/ (rounds of re-mining).
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from whet.data.split import same_text
from whet.files import source_digest
from whet.moe.upcycle import backbone, to_replace
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage
from whet.stages.train.attempt import StageFolders
from whet.stages.train.choose_model import choose_model
from whet.stages.train.refresh import check_refresh
from whet.train.config import TrainConfig
from whet.train.forgetting import forgetting_set
from whet.train.forgetting_config import NO_GUARD, PYDOC
from whet.train.freeze import modules_of
from whet.train.moe_config import MoEConfig

NAME = "train"
MIN_FORGETTING_QUERIES = 100

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/train` up to date."""
    sources = StageFolders(done["mine"].path, done["generate"].path, done["teach"].path)

    def write(folder: Path) -> None:
        choose_model(run, folder, sources)

    inputs = dict(run.inputs)
    for name in ("mine", "generate", "teach"):
        inputs[name] = done[name].fingerprint
    trials = {}
    for name, settings in run.recipe.trials().items():
        trials[name] = [part.model_dump() for part in settings]
    guard = run.recipe.guard
    config = {
        "trials": trials,
        "refresh": run.recipe.refresh.model_dump(),
        "guard": guard.model_dump() | {"file": source_digest(guard.data)},
        "seed": run.recipe.seed,
        "force": run.force,
    }
    return run_stage(run.path, NAME, inputs=inputs, config=config, build=write)


def check_settings(run: Run) -> None:
    """Raise, before any work, when the model lacks what the recipe would train.

    ConfigError, or DataError with every fault of the forgetting check's data.
    """
    recipe = run.known_recipe
    if recipe.guard.data not in (PYDOC, NO_GUARD):
        _check_forgetting_set(run)
    check_refresh(run)
    for train, moe in recipe.trials().values():
        _check_parts(run, train, moe)


def _check_parts(run: Run, train: TrainConfig, moe: MoEConfig) -> None:
    """Raise ConfigError when the model has no such layers to train or to replace."""
    if moe.experts:
        to_replace(backbone(run.base_model), moe.layers, moe.site)
    for part in train.train_only.split("+"):
        is_new_part = part == "moe" and moe.experts
        if not is_new_part:
            modules_of(run.base_model, part)


def _check_forgetting_set(run: Run) -> None:
    forgetting = forgetting_set(run.known_recipe.guard)
    if forgetting is None:
        return
    if len(forgetting.queries) < MIN_FORGETTING_QUERIES:
        logger.warning(
            f"forgetting check: it has only {len(forgetting.queries)} queries; "
            "differences of its score are mostly chance"
        )
    if run.lacks_queries:
        return
    trained_texts = {
        same_text(run.labelled.passages[passage].content)
        for _, passage in run.labelled.pairs("train")
    }
    known = sum(same_text(text) in trained_texts for text in forgetting.passages.values())
    if known:
        logger.warning(
            f"forgetting check: {known:,} of its {len(forgetting.passages):,} passages "
            "are trained on"
        )
