"""Verbs that never train: report, export and compare read a finished run, clean frees the disk of any run."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, cast

import typer

from whet.artifacts import MANIFEST, read_json
from whet.cli.options import QuietOption, RunArgument
from whet.cli.terminal import terminal
from whet.data.read import content_fingerprint
from whet.errors import ConfigError, require
from whet.export.folder import Format
from whet.run.folder import RECIPE, Run, is_run, reopen


def write_report(run: RunArgument, quiet: QuietOption = False) -> None:
    """Write the report of a finished run, as this version of whet does it, from what lies there, and say where."""
    from whet.pipeline import report_anew

    with terminal(quiet):
        report_anew(finished(run))
        typer.echo(str(run / "report" / "index.html"))


def export_run(
    run: RunArgument,
    to: Annotated[
        Path, typer.Argument(help="Folder for the model; an earlier export there is replaced.")
    ],
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="st (always), openvino, onnx.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="The same as --format onnx.")] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge experts into dense layers, for any server.")
    ] = False,
    merge_by: Annotated[
        Literal["average", "regression"],
        typer.Option(help="How: by use, or fitted to what the experts compute."),
    ] = "average",
    quiet: QuietOption = False,
) -> None:
    """Copy the run's model out, with its card and checksums, in the formats asked for."""
    from whet.export.folder import export_model
    from whet.run.account import account
    from whet.run.merged import merge_run
    from whet.run.results import origin_of

    with terminal(quiet):
        wanted = cast("list[Format]", ["st", *(formats or []), *(["onnx"] if onnx else [])])
        made = finished(run)
        origin, model = origin_of(made, account(made, quoting=False)), run / "model"
        with ExitStack() as stack:
            if merge or merge_by != "average":
                aside = stack.enter_context(TemporaryDirectory(dir=run))
                found = merge_run(made, merge_by, Path(aside))
                model, origin = (
                    found.folder,
                    replace(origin, evaluation=found.evaluation, note=found.sentence(merge_by)),
                )
                typer.echo(origin.note)
            typer.echo(str(export_model(model, to, origin=origin, formats=wanted)))


def clean_run(run: RunArgument) -> None:
    """Free the disk of what a run can compute again: vectors, and checkpoints of a training that is not finished."""
    from whet.artifacts import SCRATCH, clean

    if not is_run(run):
        raise ConfigError(f"{run} is not a run of whet: it has no {RECIPE} of one")
    begun = any(run.glob(f"*.partial/{SCRATCH}"))
    freed = f"{clean(run) / 2**20:,.1f} MiB freed in {run}"
    typer.echo(freed + ("; what was interrupted there starts from its beginning" if begun else ""))


def compare_models(
    run: RunArgument,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8765,
    quiet: QuietOption = False,
) -> None:
    """Open a local page that shows base and tuned side by side for any query."""
    from whet.run.results import pairing_of
    from whet.serve.compare import create_app, run_locally

    with terminal(quiet):
        for module in ("starlette", "uvicorn"):
            require(module, "serve")
        run_locally(create_app(pairing_of(finished(run))), port)


def finished(path: Path) -> Run:
    """Open a run whose every stage is there, of one making: its data's, its recipe's; raises ConfigError otherwise."""
    from whet.run.results import is_consistent

    run = reopen(path, record=False)
    if not (path / "model" / "modules.json").exists():
        raise ConfigError(f"{path} is not finished: it has no model. Finish it: whet tune {path}")
    if read_json(path / "evaluate" / MANIFEST)["inputs"]["data"] != content_fingerprint(
        run.collection
    ):
        raise ConfigError(
            f"the data of {path} is not what its results were made from: it has changed, or another version of whet "
            f"made them. Bring them up to date: whet tune {path}"
        )
    if not is_consistent(run):
        raise ConfigError(
            f"{path} holds results of different makings: since its model was made, another command has changed its "
            f"recipe, or one of its stages. Make it one again: whet tune {path}, or the command that made the model"
        )
    return run
