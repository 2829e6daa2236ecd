"""The train stage: one training, or several of which the one that does best on dev is kept."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whet.artifacts import write_json, write_jsonl
from whet.data.split import same_text
from whet.errors import ConfigError
from whet.evaluate.measures import PRIMARY
from whet.generate.named import OFFLINE, local_model
from whet.moe.upcycle import backbone, to_replace
from whet.progress import say
from whet.run.folder import Run
from whet.stages.train.attempt import StageFolders, why_not_refresh
from whet.stages.train.selection import Judge, Trial, judge_of
from whet.train.forgetting_config import PYDOC
from whet.train.forgetting import forgetting_set
from whet.train.freeze import modules_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


FEWEST_GUARDING = 100  # queries of a guard


def write_training(run: Run, folder: Path, sources: StageFolders) -> None:
    """Train by every trial of the recipe and leave in `folder` the model to keep, its log, and all dev scores.

    What is kept is decided here and nowhere else: of the trials that are better in their judge's eyes the one that does
    best on dev, or the base model when there is none, unless the run is told to keep the trained one.
    """
    judge, trials = judge_of(run, folder, sources), run.recipe.trials()
    found: dict[str, Trial] = {}
    for name, (train, moe) in trials.items():
        several = len(trials) > 1
        if several:
            say(f"trial {len(found) + 1} of {len(trials)}: {name}")
        trial = judge.trial(name if several else "", train, moe)
        if not found or trial.rank > max(one.rank for one in found.values()):
            winner = trial.model
        found[name] = replace(trial, model=None)
    _keep(run, folder, winner, judge, found)


def check_trials(run: Run) -> None:
    """Raise, before any work is done, when the model lacks what the recipe would train or its guard cannot be read.

    ConfigError, or DataError with every fault of the guard's data.
    """
    model = run.base_model
    if run.recipe.guard.data != PYDOC and (guard := forgetting_set(run.recipe.guard)):
        trained = {same_text(run.passages[passage]) for _, passage in run.collection.pairs("train")}
        known = sum(same_text(text) in trained for text in guard.passages.values())
        if known:
            say(
                f"[yellow]guard: {known:,} of its {len(guard.passages):,} passages are trained on, too[/yellow]"
            )
        if len(guard.queries) < FEWEST_GUARDING:
            say(
                f"[yellow]guard: it has {len(guard.queries)} queries; what so few say is mostly chance[/yellow]"
            )
    _check_refresh(run)
    for train, moe in run.recipe.trials().values():
        if moe.experts:
            to_replace(backbone(model), moe.layers, moe.site)
        for part in train.train_only.split("+"):
            if not (part == "moe" and moe.experts):
                modules_of(model, part)


def _check_refresh(run: Run) -> None:
    """Raise ConfigError where a refresh that was asked for cannot be made, or would ask for money on the way."""
    config, generator = run.recipe.refresh, run.recipe.generate.generator
    asked = config.times not in ("auto", "off", 0)
    if asked and (why := why_not_refresh(run)):
        raise ConfigError(
            f"negatives cannot be mined anew: {why}. Leave --refresh out, or change that."
        )
    if config.generate and generator == OFFLINE:
        raise ConfigError(
            "refresh.generate has a language model write queries, and no generator is named: give --generator"
        )
    if config.generate and not config.off and not run.yes and not local_model(generator):
        raise ConfigError(
            "--refresh-generate asks a server in the middle of training: agree to that with --yes"
        )


def _keep(
    run: Run,
    folder: Path,
    model: "SentenceTransformer | None",
    judge: Judge,
    found: Mapping[str, Trial],
) -> None:
    """Write the best trial's model, or the base model, and what was done."""
    name = max(found, key=lambda trial: found[trial].rank)
    best = found[name]
    kept = "tuned" if run.force or best.better else "base"
    where = f"at step {best.trained.best_step}{f', {best.share:.0%} of the way from base' if best.line else ''}"
    say(
        f"{judge.name} {PRIMARY}: base {100 * judge.base:.2f}, tuned {100 * best.score:.2f} {where}"
    )
    if len(found) > 1:
        say(
            "; ".join(f"{trial} {100 * one.score:.2f}" for trial, one in found.items())
            + f"; best: {name}"
        )
    if kept == "base":
        lost = best.line and not best.share  # `interpolate` found no point that the guard allows
        why = (
            "every point loses more than guard.budget"
            if lost
            else f"nothing got better by {judge.name}"
        )
        say(
            f"[yellow]{why}: the base model stays (--force trains again, and keeps what comes of it)[/yellow]"
        )
    write_jsonl(folder / "log.jsonl", best.trained.log)
    trials = {
        trial: {
            "dev": one.score,
            "trained_parameters": one.trained.trained_parameters,
            "best_step": one.trained.best_step,
        }
        for trial, one in found.items()
    }
    done = {k: v for k, v in asdict(best.trained).items() if k != "log"}
    by = {"judge": judge.name, "judged": judge.queries}
    result = {
        "kept": kept,
        **by,
        "dev_base": judge.base,
        "dev_best": best.score,
        "trial": name,
        "trials": trials,
    }
    guard_tuned = best.guard if kept == "tuned" else judge.guard
    guarded = {} if judge.guard is None else {"guard_base": judge.guard, "guard_tuned": guard_tuned}
    way_back = (
        {"share": best.share, "line": [asdict(point) for point in best.line]} if best.line else {}
    )
    write_json(folder / "result.json", done | result | guarded | way_back)
    chosen = model if kept == "tuned" and model is not None else run.base_model
    chosen.save_pretrained(str(folder / "model"), create_model_card=False)
