"""Verbs over a finished run: report, export, compare."""

from pathlib import Path
from typing import Annotated, cast

import typer

from whet.cli.options import QuietOption, RunArgument
from whet.export.folder import Format
from whet.progress import set_quiet


def write_report(run: RunArgument, quiet: QuietOption = False) -> None:
    """Write the run's report, a page and a Markdown file, and say where."""
    from whet.pipeline import build
    from whet.run import reopen

    set_quiet(quiet)
    build(reopen(run), "report")
    typer.echo(str(run / "report" / "index.html"))


def export_run(
    run: RunArgument,
    to: Annotated[Path, typer.Argument(help="New folder for the model.")],
    formats: Annotated[list[str] | None, typer.Option("--format", help="st (always), openvino.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Copy the run's model out, with its card and checksums, in the formats asked for."""
    from whet.export.folder import export_model
    from whet.outcome import origin_of
    from whet.pipeline import build
    from whet.run import reopen

    set_quiet(quiet)
    found = build(reopen(run))
    typer.echo(
        str(
            export_model(
                run / "model", to, origin=origin_of(found), formats=cast("list[Format]", ["st", *(formats or [])])
            )
        )
    )


def compare_models(
    run: RunArgument,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8765,
    quiet: QuietOption = False,
) -> None:
    """Open a local page that shows base and tuned side by side for any query."""
    from whet.outcome import pairing_of
    from whet.pipeline import build
    from whet.run import reopen
    from whet.serve.compare import create_app, run_locally

    set_quiet(quiet)
    run_locally(create_app(pairing_of(build(reopen(run)))), port)
