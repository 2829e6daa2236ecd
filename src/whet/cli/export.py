"""`whet export`: copy the model of a finished run out, in other formats if asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from whet.cli.opening import open_finished
from whet.cli.options import MODEL, QuietOption, RunArgument
from whet.cli.terminal import terminal

if TYPE_CHECKING:
    from whet.export.card import ModelOrigin
    from whet.export.folder import Format
    from whet.run.folder import Run

MergeBy = Literal["average", "regression"]


def export(
    run: RunArgument,
    to: Annotated[
        Path, typer.Argument(help="Folder for the model. An earlier export there is replaced.")
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            rich_help_panel=MODEL,
            metavar="st|openvino|onnx",
            help="Another format beside st. May be given several times.",
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", rich_help_panel=MODEL, help="The same as --format onnx.")
    ] = False,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            rich_help_panel=MODEL,
            help="Merge experts into dense layers.",
        ),
    ] = False,
    merge_by: Annotated[
        MergeBy | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="How to merge: by use of the experts, or fitted to their outputs. Default: "
            "average. Implies --merge.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Copy the model of a finished run into a folder, with its card and checksums."""
    from whet.export.folder import export_model

    names = ["st", *(formats or [])]
    if onnx:
        names.append("onnx")
    if merge and merge_by is None:
        merge_by = "average"
    with terminal(quiet):
        finished = open_finished(run)
        with _model_and_origin(finished, merge_by) as (model, origin):
            if origin.note:
                typer.echo(origin.note)
            folder = export_model(model, to, origin=origin, formats=cast("list[Format]", names))
    typer.echo(str(folder))


@contextmanager
def _model_and_origin(run: "Run", merge_by: MergeBy | None) -> "Iterator[tuple[Path, ModelOrigin]]":
    """The folder of the model, its experts merged if asked for, and what its card says of it."""
    from whet.export.merged import EvaluatedRankings, merge_experts
    from whet.run.account import account
    from whet.run.origin import origin_of
    from whet.stage_folder import VECTORS

    origin = origin_of(run, account(run, quoting=False))
    if merge_by is None:
        yield run.path / "model", origin
        return
    with TemporaryDirectory(dir=run.path) as folder:
        merged = merge_experts(
            run.path / "model",
            Path(folder),
            merge_by,
            collection=run.collection,
            rankings=EvaluatedRankings.read(run.path / "evaluate"),
            vectors=run.path / VECTORS,
            seed=run.recipe.seed,
        )
        note = merged.sentence(merge_by)
        yield merged.folder, replace(origin, evaluation=merged.evaluation, note=note)
