"""The command line: `whet VERB …`. Exit codes: 0 done (the verdict stands in the output), 1 failed, 2 bad input."""

import errno
import os
import sys

import typer
from rich.text import Text

from whet import __version__
from whet.cli import generate
from whet.cli.demo import demo
from whet.cli.results import clean_run, compare_models, export_run, write_report
from whet.cli.stages import add_stages
from whet.cli.terminal import print_line, stderr_console
from whet.errors import WhetError

INTERRUPTED = 130  # what typer makes of Ctrl-C
OF_THE_PLACE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
)  # nobody's mistake in the code

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sharpen a text-embedding model on your own documents, and prove that it got better.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


app.command()(demo)
add_stages(app)
app.add_typer(generate.app, name="generate")
app.command("report")(write_report)
app.command("export")(export_run)
app.command("compare")(compare_models)
app.command("clean")(clean_run)


def main() -> None:
    """Run the command line; a fault of the user's data or settings ends with its message, not a traceback."""
    os.environ.setdefault(
        "TRANSFORMERS_VERBOSITY", "error"
    )  # what a user must know whet says itself
    try:
        app()
    except (WhetError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in OF_THE_PLACE:
            raise
        print_line(stderr_console(), Text.assemble(("error", "red"), f" {error}"))
        sys.exit(error.exit_code if isinstance(error, WhetError) else 1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print_line(stderr_console(), "stopped; the same command goes on from here")
        raise
