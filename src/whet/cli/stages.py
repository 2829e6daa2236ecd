"""`whet tune` and `whet audit`, and the stages one at a time: check, mine, generate, teach, train, evaluate."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from whet.artifacts import read_json
from whet.cli.options import (
    DataArgument,
    EffortOption,
    ForceOption,
    GeneratorOption,
    GuardOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    MoEOption,
    OutOption,
    PrefixCacheOption,
    QuietOption,
    RecipeOption,
    RefreshAsyncOption,
    RefreshGenerateOption,
    RefreshOption,
    SeedOption,
    TestQueriesOption,
    TrainOnlyOption,
    YesOption,
    overrides_of,
    run_folder,
)
from whet.cli.terminal import terminal
from whet.errors import ConfigError, DataError
from whet.models import DEFAULT_MODEL
from whet.run.folder import RECIPE, Run, is_run, is_run_of, open_run, reopen
from whet.run.recipe import Effort

PARAPHRASES = 3
HELP = {
    "check": "Read the data and say all that is wrong with it.",
    "mine": "Find each training query's hard negatives with the model as it is.",
    "teach": "Have the teachers score the training pairs, where their labels are used.",
    "train": "Train, judging on dev or by cross-validation, and keep what did best there.",
    "evaluate": "Score base, tuned and BM25 on the test queries, with the verdict.",
    "audit": "After tune: list passages that probably answer a training query, though nobody said so.",
    "tune": "The whole pipeline: check, mine, generate, teach, train, evaluate, report, model.",
}


def add_stages(app: typer.Typer) -> None:
    """Give the app a verb for each stage, all with the same options; each brings the run up to date up to itself."""
    for name, text in HELP.items():
        app.command(name, help=text)(verb(name))


def verb(name: str) -> Callable[..., None]:
    """The command that brings a run up to date up to a stage: those of HELP, generate, queries and paraphrases."""
    until = {"tune": "model", "queries": "", "paraphrases": ""}.get(name, name)

    def command(
        data: DataArgument,
        model: ModelOption = DEFAULT_MODEL,
        out: OutOption = None,
        effort: EffortOption = None,
        recipe: RecipeOption = None,
        train_only: TrainOnlyOption = None,
        moe: MoEOption = None,
        refresh: RefreshOption = None,
        refresh_async: RefreshAsyncOption = False,
        refresh_generate: RefreshGenerateOption = False,
        prefix_cache: PrefixCacheOption = None,
        guard: GuardOption = None,
        labels: LabelsOption = None,
        generator: GeneratorOption = None,
        test_queries: TestQueriesOption = None,
        yes: YesOption = False,
        seed: SeedOption = None,
        force: ForceOption = False,
        json: JsonOption = False,
        quiet: QuietOption = False,
    ) -> None:
        from whet.pipeline import build

        # What the check says is its result and goes to stdout.
        with terminal(quiet or name == "check"):
            options = {
                "train.train_only": train_only,
                "moe.experts": moe,
                "refresh.times": refresh,
                "refresh.background": refresh_async or None,
                "refresh.generate": refresh_generate or None,
                "train.prefix_cache": prefix_cache,
                "guard.data": guard,
                "generate.generator": generator,
                "seed": seed,
            }
            files = {"labels": labels, "test_queries": test_queries}
            try:
                run = _opened(
                    name, data, model, out, effort, recipe, options, files, force=force, yes=yes
                )
            except DataError as error:
                if name == "check":
                    _show_faults(error, json=json)
                raise
            if name == "audit":
                _show_audit(run, json=json)
            else:
                _show(name, build(run, until) if until else run, json=json)

    return command


def _opened(
    name: str,
    data: str,
    model: str,
    out: Path | None,
    effort: Effort | None,
    recipe: Path | None,
    options: Mapping[str, Any],
    files: Mapping[str, Path | None],
    *,
    force: bool,
    yes: bool,
) -> Run:
    """The run that a verb goes on with as it was made, or one that its options make."""
    given = (effort, recipe, files["test_queries"], *options.values())
    plain = model == DEFAULT_MODEL and not force and all(option is None for option in given)
    given_run = is_run(Path(data))
    folder = Path(data) if given_run else run_folder(data, out)
    if given_run and not (plain and out in (None, folder)):
        source = read_json(folder / RECIPE)["data"] or "the same, in memory"
        raise ConfigError(
            f"{folder} is a run, whose recipe stands. To change it, or to make another (--out), give its data "
            f"({source}), --out, and every option that is to hold, those it was made with included"
        )
    # Without options a single stage goes on with the run that is there, as it was made.
    if given_run or (name != "tune" and plain and is_run_of(folder, data)):
        return reopen(
            folder,
            files["labels"],
            paraphrases=PARAPHRASES if name == "paraphrases" else 0,
            yes=yes,
        )
    overrides = overrides_of(recipe, options)
    if name == "paraphrases":
        overrides["generate"] = {"paraphrases": PARAPHRASES} | overrides.get("generate", {})
    return open_run(
        data,
        model,
        folder,
        effort=effort or "standard",
        overrides=overrides,
        force=force,
        labels=files["labels"],
        test_queries=files["test_queries"],
        yes=yes,
    )


def _show_audit(run: Run, *, json: bool) -> None:
    from whet.cli.show import show_json, show_suspects
    from whet.stages.audit import audit, read_suspects

    folder = audit(run).path
    if json:
        show_json({"stage": "audit", "folder": str(folder)} | read_json(folder / "summary.json"))
    else:
        show_suspects(run.path, read_json(folder / "summary.json"), read_suspects(folder))


def _show_faults(error: DataError, *, json: bool) -> None:
    from whet.cli.show import show_json, show_lines

    if json:
        show_json({"stage": "check", "faults": [asdict(fault) for fault in error.faults]})
    else:
        show_lines([str(fault) for fault in error.faults])
    raise typer.Exit(error.exit_code)


def _show(name: str, run: Run, *, json: bool) -> None:
    from whet.cli.show import show_json, show_lines, show_places, show_verdict

    if name == "queries":
        _ = run.written  # a stage of its own, made when it is first asked for
    if name in ("tune", "evaluate"):
        if json:
            show_json(run.result)
            return
        show_verdict(run)
        if name == "tune":
            show_places(run)
    elif name == "check" and not json:
        show_lines(read_json(run.path / "check" / "report.json")["lines"])
    elif name == "paraphrases" and not run.recipe.generate.paraphrases:
        raise ConfigError(
            f"generate.paraphrases is 0 in the recipe of {run.path}: no other wordings are asked for"
        )
    elif name == "queries" and not (run.writes or "train" in run.collection.synthetic):
        raise ConfigError(
            f"{run.collection.name} has training queries, and none are to be written beside them: generate.passages is "
            f"{run.recipe.generate.passages} in the recipe of {run.path}"
        )
    elif json:
        found = {"check": "report.json", "train": "result.json"}.get(name, "summary.json")
        show_json(
            {"stage": name, "folder": str(run.path / name)} | read_json(run.path / name / found)
        )
    else:
        show_lines(sorted(str(path) for path in (run.path / name).glob("*.json*")))
