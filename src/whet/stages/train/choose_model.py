"""Train every candidate, and choose the model to keep: the best candidate or the base model."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from whet.evaluate.measures import PRIMARY
from whet.files import write_json, write_jsonl
from whet.run.folder import Run
from whet.run.training_result import CandidateScore, TrainingResult
from whet.stages.train import cross_validated, held_out
from whet.stages.train.attempt import StageFolders
from whet.stages.train.candidate import Baseline, Candidate
from whet.train.config import TrainConfig
from whet.train.moe_config import MoEConfig

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TrainCandidate: TypeAlias = Callable[[str, TrainConfig, MoEConfig], Candidate]
"""Subfolder name, settings → the trained candidate."""

logger = logging.getLogger(__name__)


def choose_model(run: Run, folder: Path, sources: StageFolders) -> None:
    """Train all candidates; leave in `folder` the model to keep, its log, and all dev scores.

    What is kept is decided here and nowhere else. Of the candidates that may replace the base model
    it is the one that does best on dev. Without such a candidate it is the base model, unless
    `run.force` is set.
    """
    baseline, train_candidate = _judge(run, folder, sources)
    settings_of = run.recipe.trials()
    has_several = len(settings_of) > 1
    candidates: dict[str, Candidate] = {}
    best_name = ""
    best_model = None
    for number, (name, (train, moe)) in enumerate(settings_of.items(), start=1):
        if has_several:
            logger.info(f"candidate {number} of {len(settings_of)}: {name}")
        candidate = train_candidate(name if has_several else "", train, moe)
        if not candidates or candidate.rank > candidates[best_name].rank:
            best_name = name
            best_model = candidate.model
        candidates[name] = replace(candidate, model=None)  # one model in memory is enough
    _keep(run, folder, baseline, candidates, best_name, best_model)


def _judge(run: Run, folder: Path, sources: StageFolders) -> tuple[Baseline, TrainCandidate]:
    """The base model's scores, and how a candidate is trained: with a dev split, or with folds."""
    if run.collection.positives("dev"):
        dev_setup = held_out.prepare(run, folder, sources)
        return dev_setup.baseline, partial(held_out.train_candidate, dev_setup)
    fold_setup = cross_validated.prepare(run, folder, sources)
    return fold_setup.baseline, partial(cross_validated.train_candidate, fold_setup)


def _keep(
    run: Run,
    folder: Path,
    baseline: Baseline,
    candidates: Mapping[str, Candidate],
    best_name: str,
    best_model: "SentenceTransformer | None",
) -> None:
    """Write the best candidate's model, or the base model, and the record of the decision."""
    best = candidates[best_name]
    result = result_of(baseline, candidates, best_name, keep_tuned=run.force or best.is_better)
    _log_decision(baseline, candidates, best_name, result)
    write_jsonl(folder / "log.jsonl", best.trained.log)
    write_json(folder / "result.json", result.to_json())
    keeps_tuned = result.kept == "tuned" and best_model is not None
    model = best_model if keeps_tuned and best_model is not None else run.base_model
    model.save_pretrained(str(folder / "model"), create_model_card=False)


def result_of(
    baseline: Baseline, candidates: Mapping[str, Candidate], best_name: str, *, keep_tuned: bool
) -> TrainingResult:
    """The record of what was trained and kept."""
    best = candidates[best_name]
    scores = {}
    for name, candidate in candidates.items():
        trained = candidate.trained
        scores[name] = CandidateScore(candidate.dev, trained.trained_parameters, trained.best_step)
    guard_tuned = best.guard if keep_tuned else baseline.guard
    return TrainingResult(
        kept="tuned" if keep_tuned else "base",
        judge=baseline.judge,
        judged=baseline.queries,
        dev_base=baseline.dev,
        dev_best=best.dev,
        trial=best_name,
        trials=scores,
        trained_parameters=best.trained.trained_parameters,
        total_parameters=best.trained.total_parameters,
        best_step=best.trained.best_step,
        stopped_early=best.trained.stopped_early,
        guard_base=baseline.guard,
        guard_tuned=None if baseline.guard is None else guard_tuned,
        share=best.share if best.line else None,
        line=tuple(best.line),
    )


def _log_decision(
    baseline: Baseline,
    candidates: Mapping[str, Candidate],
    best_name: str,
    result: TrainingResult,
) -> None:
    best = candidates[best_name]
    place = f"at step {result.best_step}"
    if best.line:
        place += f", interpolation weight {best.share:.2f}"
    logger.info(
        f"{baseline.judge} {PRIMARY}: base {100 * baseline.dev:.2f}, "
        f"tuned {100 * best.dev:.2f} {place}"
    )
    if len(candidates) > 1:
        scores = [f"{name} {100 * candidate.dev:.2f}" for name, candidate in candidates.items()]
        logger.info(f"{'; '.join(scores)}; best: {best_name}")
    if result.kept == "tuned":
        return
    all_rejected = best.line and not best.share  # the forgetting check accepted no point
    reason = f"nothing got better by {baseline.judge}"
    if all_rejected:
        reason = "every interpolation weight loses more than guard.budget"
    logger.warning(
        f"{reason}: the base model is kept (--force trains again and keeps the trained one)"
    )
