"""Stage `model`: the result, with its card and checksums; a SentenceTransformer loads from it.

Reads RUN/train, RUN/evaluate. Writes the model's files.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from whet.export.folder import export_model
from whet.files import SCRATCH
from whet.run.account import account
from whet.run.folder import Run
from whet.run.origin import origin_of
from whet.stage_folder import Artifact, run_stage

NAME = "model"


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/model` up to date."""

    def write(folder: Path) -> None:
        _remove_folders(folder)
        exported = folder / SCRATCH / "model"
        export_model(
            done["train"].path / "model",
            exported,
            origin=origin_of(run, account(run, quoting=False)),
            name=run.path.resolve().name,
        )
        for item in exported.iterdir():
            item.replace(folder / item.name)

    inputs = {name: done[name].fingerprint for name in ("train", "evaluate")}
    return run_stage(run.path, NAME, inputs=inputs, config={}, build=write)


def _remove_folders(folder: Path) -> None:
    """Remove what a killed process left; it may have moved some of the files already."""
    for item in folder.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
