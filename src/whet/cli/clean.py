"""`whet clean`: free the disk of what a run can compute again."""

import typer

from whet.cli.options import RunArgument
from whet.files import SCRATCH
from whet.run.settings import read_settings
from whet.stage_folder import clean

BYTES_PER_MIB = 2**20


def clean_run(run: RunArgument) -> None:
    """Delete what a run can compute again: vectors, and checkpoints of unfinished trainings."""
    read_settings(run)  # raises where the folder is no run
    is_interrupted = any(run.glob(f"*.partial/{SCRATCH}"))
    line = f"{clean(run) / BYTES_PER_MIB:,.1f} MiB freed in {run}"
    if is_interrupted:
        line += "; what was interrupted there starts from its beginning"
    typer.echo(line)
