"""The command line: `whet VERB …`. Exit codes: 0 done, 1 failed, 2 bad input.

A verdict of any kind is 0: it is in the output.
"""

import errno
import os
import sys

import typer
from rich.text import Text

from whet import __version__
from whet.cli import generate
from whet.cli.audit import audit
from whet.cli.check import check
from whet.cli.clean import clean_run
from whet.cli.compare import compare
from whet.cli.demo import demo
from whet.cli.evaluate import evaluate
from whet.cli.export import export
from whet.cli.mine import mine
from whet.cli.recipe import recipe
from whet.cli.report import report
from whet.cli.teach import teach
from whet.cli.terminal import print_line, stderr_console
from whet.cli.train import train
from whet.cli.tune import tune
from whet.errors import WhetError

INTERRUPTED = 130  # typer's exit code for Ctrl-C
# Causes in the place where whet writes, not in its code.
PLACE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

MAIN_JOB = "The whole job"
STAGES = "Single stages, each with all before it"
RESULTS = "A run and its results"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sharpen a text-embedding model on your own documents, and prove that it got better.",
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"whet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


for verb in (demo, tune):
    app.command(rich_help_panel=MAIN_JOB)(verb)
for verb in (check, mine, teach, train, evaluate, audit):
    app.command(rich_help_panel=STAGES)(verb)
app.add_typer(generate.app, name="generate", rich_help_panel=STAGES)
for verb in (report, export, compare, recipe):
    app.command(rich_help_panel=RESULTS)(verb)
app.command("clean", rich_help_panel=RESULTS)(clean_run)


def main() -> None:
    """Run the command line. Faults of data, settings or disk end with a message, no traceback."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # whet has messages of its own
    try:
        app()
    except (WhetError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in PLACE_ERRORS:
            raise
        print_line(stderr_console(), Text.assemble(("error", "red"), f" {error}"))
        sys.exit(error.exit_code if isinstance(error, WhetError) else 1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print_line(stderr_console(), "stopped; the same command continues from here")
        raise
