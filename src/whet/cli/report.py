"""`whet report`: write the report of a finished run again."""

import typer

from whet.cli.opening import open_finished
from whet.cli.options import QuietOption, RunArgument
from whet.cli.terminal import terminal


def report(run: RunArgument, quiet: QuietOption = False) -> None:
    """Write the report of a finished run with this version of whet, and print its path."""
    from whet.stages.report import rebuild

    with terminal(quiet):
        rebuild(open_finished(run))
    typer.echo(str(run / "report" / "index.html"))
