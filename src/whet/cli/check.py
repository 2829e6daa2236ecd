"""`whet check`: read the data and print what is wrong with it."""

from dataclasses import asdict
from typing import NoReturn

import typer

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SyntheticOptions,
)
from whet.cli.terminal import confirmation, terminal
from whet.errors import DataError


@bundled
def check(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Read the data and list all that is wrong with it."""
    from whet.cli.show import show_findings, show_stage
    from whet.pipeline import build
    from whet.stages.check import read_lines

    request = RunRequest(data, files, model, run, others=(synthetic,))
    # What the check finds is its result: it goes to stdout, not to stderr.
    with terminal(quiet=True):
        try:
            confirm = confirmation(synthetic.yes, output.quiet)
            opened = build(request.open_or_continue(confirm), until="check")
        except DataError as error:
            _show_faults(error, json=output.json)
    if output.json:
        show_stage(opened.path, "check", summary="report.json", json=True)
    else:
        show_findings(read_lines(opened.path / "check"))


def _show_faults(error: DataError, *, json: bool) -> NoReturn:
    from whet.cli.show import show_findings, show_json

    if json:
        show_json({"stage": "check", "faults": [asdict(fault) for fault in error.faults]})
    else:
        show_findings([str(fault) for fault in error.faults])
    raise typer.Exit(error.exit_code)
