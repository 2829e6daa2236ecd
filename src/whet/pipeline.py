"""The main job, read top to bottom: check → mine → generate → teach → train → evaluate → report → model.

Each stage is a folder of the run (see `whet.artifacts`); data flows one way, through those folders.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from whet import __version__
from whet.artifacts import (
    MANIFEST,
    SCRATCH,
    Artifact,
    digest,
    locked,
    read_json,
    run_stage,
    source_digest,
    write_json,
)
from whet.data.check import check
from whet.errors import ConfigError
from whet.models import DEFAULT_MODEL, load_model
from whet.progress import say
from whet.records import Collection
from whet.run.account import account
from whet.run.folder import STAGES, Run, open_run, peak_of, seconds_of
from whet.run.recipe import Effort
from whet.run.results import (
    origin_of,
    read_evaluation,
    read_experts,
    read_judge,
    read_refreshes,
    read_share,
    read_spaces,
    read_teachers,
    read_tradeoff,
    training_curve,
)


def tune(
    data: str | Path | Collection,
    model: str = DEFAULT_MODEL,
    out: str | Path = "runs/whet",
    *,
    effort: Effort = "standard",
    overrides: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Run:
    """Turn a model into a better one for this data, or show that it is not; see the README for what comes out.

    `model` is a folder or hub id of a sentence-transformers model, `out` the run's folder; calling again with the same
    arguments goes on where it stopped. `overrides` are recipe values (nested mappings). `force` keeps the trained model
    even if it did no better on dev.

    Raises DataError with every fault of the data, ConfigError on a bad setting, TrainingError on a hopeless training.
    """
    return build(open_run(data, model, out, effort=effort, overrides=overrides, force=force))


def build(run: Run, until: str = STAGES[-1]) -> Run:
    """Bring the stages of a run up to date, the last one being `until`.

    Raises ConfigError when another process is building in the run's folder, or the model lacks what is to be trained.
    """
    from whet.stages.teach import check_teachers
    from whet.stages.train.stage import check_trials

    if until not in STAGES:
        raise ConfigError(f"no stage is called {until!r}; the stages are {', '.join(STAGES)}")
    done: dict[str, Artifact] = {}
    stages = STAGES[: STAGES.index(until) + 1]
    if "teach" in stages and run.recipe.train.taught:
        check_teachers(run)
    if "train" in stages:
        check_trials(run)
    if "mine" in stages:
        _ = run.written  # a stage in front of the others, which locks the folder by itself
    with locked(run.path):
        for stage in stages:
            done[stage] = _BUILD[stage](run, done)
    return run


def _check(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.encoder.packed import token_lengths

    def write(folder: Path) -> None:
        model = run.base_model
        report = check(
            run.collection,
            faults=run.faults,
            token_lengths=lambda texts: token_lengths(model, texts),
            max_length=model.max_seq_length,
            seed=run.recipe.seed,
        )
        own = load_model(run.base).max_seq_length if run.recipe.max_length else None
        write_json(
            folder / "report.json",
            report.to_json() | {"lines": [*report.lines(), *_shortened(run, own)]},
        )
        write_json(folder / "split.json", dict(run.split) | {"qrels": run.collection.qrels})

    config = {"seed": run.recipe.seed, "max_length": run.recipe.max_length}
    made = run_stage(run.path, "check", inputs=run.inputs, config=config, build=write)
    for line in read_json(made.path / "report.json")["lines"][1:]:
        say(escape(line))
    return made


def _shortened(run: Run, own: int | None) -> list[str]:
    """What a reader of the verdict must know where the recipe cuts texts short of the model's own limit."""
    if own is None or run.recipe.max_length is None or run.recipe.max_length >= own:
        return []
    read = f"base and tuned both read {run.recipe.max_length} tokens of a text (max_length)"
    return [
        f"note: {read}; by itself the base model reads {own}, and may do better than the base measured here"
    ]


def _mine(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.mine.ance import mine_negatives
    from whet.mine.mined import write_mined
    from whet.mine.summary import MiningSummary

    def write(folder: Path) -> None:
        data = run.augmented
        queries = run.base_encoder.encode_queries(
            [data.queries[query] for query in data.positives("train")]
        )
        passages = run.base_encoder.encode_passages(list(run.passages.values()))
        mined, summary = mine_negatives(data, queries, passages, run.recipe.mine)
        write_mined(folder / "negatives.jsonl", mined)
        write_json(folder / "summary.json", summary.to_json())

    config = {"mine": run.recipe.mine.model_dump()}
    written = {"written": digest(run.written)} if run.written else {}
    made = run_stage(run.path, "mine", inputs=run.inputs | written, config=config, build=write)
    if not made.skipped:
        say(MiningSummary(**read_json(made.path / "summary.json")).line())
    return made


def _generate(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Positive queries h* for the mined negatives; only where training uses both."""
    from whet.generate.training_queries import generate_settings
    from whet.mine.mined import read_mined
    from whet.stages.generate import write_positives

    train = run.recipe.train
    used = train.negatives if train.loss == "clp" and train.penalty_weight > 0 else 0

    def write(folder: Path) -> None:
        mined = read_mined(done["mine"].path / "negatives.jsonl") if used else []
        taken = [replace(query, negatives=query.negatives[:used]) for query in mined]
        write_positives(run, folder, taken)

    inputs = run.inputs | {"mine": done["mine"].fingerprint}
    config = {"negatives": used} | (generate_settings(run.recipe.generate) if used else {})
    return run_stage(run.path, "generate", inputs=inputs, config=config, build=write)


def _teach(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Soft labels of the training pairs; only where training uses them."""
    from whet.stages.teach import teach_settings, write_teaching

    used = run.recipe.train.taught

    def write(folder: Path) -> None:
        if used:
            write_teaching(run, folder, mine=done["mine"].path)
        else:
            write_json(folder / "summary.json", {"pairs": 0})

    inputs = run.inputs | ({"mine": done["mine"].fingerprint} if used else {})
    return run_stage(
        run.path, "teach", inputs=inputs, config=teach_settings(run) if used else {}, build=write
    )


def _train(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.stages.train.attempt import StageFolders
    from whet.stages.train.stage import write_training

    before = {name: done[name] for name in ("mine", "generate", "teach")}

    def write(folder: Path) -> None:
        write_training(
            run, folder, StageFolders(**{name: made.path for name, made in before.items()})
        )

    inputs = run.inputs | {name: made.fingerprint for name, made in before.items()}
    trials = {
        name: [part.model_dump() for part in trial] for name, trial in run.recipe.trials().items()
    }
    guard = run.recipe.guard.model_dump() | {"file": source_digest(run.recipe.guard.data)}
    refresh = run.recipe.refresh.model_dump()
    config = {
        "trials": trials,
        "refresh": refresh,
        "guard": guard,
        "seed": run.recipe.seed,
        "force": run.force,
    }
    return run_stage(run.path, "train", inputs=inputs, config=config, build=write)


def _evaluate(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.stages.evaluate import write_evaluation

    def write(folder: Path) -> None:
        write_evaluation(run, folder, train=done["train"].path)

    inputs = run.inputs | {"train": done["train"].fingerprint}
    config = {"seed": run.recipe.seed, "synthetic": sorted(run.collection.synthetic)}
    return run_stage(run.path, "evaluate", inputs=inputs, config=config, build=write)


def _report(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.mine.summary import MiningSummary
    from whet.moe.usage import starving
    from whet.report.contents import ReportInput
    from whet.report.markdown import write_markdown
    from whet.report.page import write_page

    def write(folder: Path) -> None:
        evaluation, rows, slices = read_evaluation(run.path)
        mining = read_json(done["mine"].path / "summary.json")
        report = ReportInput(
            data=run.collection.name,
            model=run.base,
            evaluation=evaluation,
            rows=rows,
            passages=run.passages,
            slices=slices,
            training=training_curve(done["train"].path),
            mining=MiningSummary(**mining).counts(),
            refreshes=read_refreshes(run.path),
            experts=(experts := read_experts(run.path)),
            spaces=read_spaces(run.path),
            teaching=read_teachers(run.path),
            tradeoff=read_tradeoff(run.path),
            share=read_share(run.path),
            account=account(run),
            judge=read_judge(run),
            warnings=[*_remarks(done["check"].path), *starving(experts)],
            config=run.recipe.in_force(),
            seconds={stage: seconds_of(run.path / stage) or 0.0 for stage in done},
            peak_memory_mb=peak_of(run.path, done),
        )
        write_page(folder / "index.html", report)
        write_markdown(folder / "report.md", report)

    inputs = {stage: artifact.fingerprint for stage, artifact in done.items()}
    config = {"recipe": run.recipe.in_force(), "model": run.base, "whet": __version__}
    return run_stage(run.path, "report", inputs=inputs, config=config, build=write)


def report_anew(run: Run) -> Artifact:
    """Write the report of a finished run as this version of whet does, whatever version made its stages."""
    stages = STAGES[: STAGES.index("report")]
    manifests = {stage: run.path / stage / MANIFEST for stage in stages}
    with locked(run.path):
        done = {
            stage: Artifact(path.parent, read_json(path)["fingerprint"], 0.0, skipped=True)
            for stage, path in manifests.items()
            if path.exists()
        }
        return _report(run, done)


def _remarks(check: Path) -> list[str]:
    """What the check had to say, without the sizes."""
    lines: list[str] = read_json(check / "report.json")["lines"]
    return [line for line in lines if line.startswith(("warning: ", "note: "))]


def _model(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    from whet.export.folder import export_model

    def write(folder: Path) -> None:
        for (
            left
        ) in folder.iterdir():  # by a killed run, which may have moved some of the files below
            if left.is_dir():
                shutil.rmtree(left)
        aside = folder / SCRATCH / "model"
        export_model(
            done["train"].path / "model",
            aside,
            origin=origin_of(run, account(run, quoting=False)),
            name=run.path.resolve().name,
        )
        for item in aside.iterdir():
            item.replace(folder / item.name)

    inputs = {name: done[name].fingerprint for name in ("train", "evaluate")}
    return run_stage(run.path, "model", inputs=inputs, config={}, build=write)


_BUILD: dict[str, Callable[[Run, Mapping[str, Artifact]], Artifact]] = {
    "check": _check,
    "mine": _mine,
    "generate": _generate,
    "teach": _teach,
    "train": _train,
    "evaluate": _evaluate,
    "report": _report,
    "model": _model,
}
