"""Stage `check`: what is wrong with the data, and how it was split.

Reads the data. Writes report.json (with the lines that are shown), split.json.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from whet.data.check import check
from whet.encoder import token_lengths
from whet.files import read_json, write_json
from whet.models import load_model
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage

NAME = "check"
REMARKS = ("warning: ", "note: ")  # how lines begin that a reader of the verdict must know

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/check` up to date, and log its lines."""

    def write(folder: Path) -> None:
        model = run.base_model

        def lengths(texts: Sequence[str]) -> list[int]:
            return token_lengths(model, texts)

        report = check(
            run.collection,
            faults=run.faults,
            token_lengths=lengths,
            max_length=model.max_seq_length,
            seed=run.recipe.seed,
        )
        lines = [*report.lines(), *_note_on_length(run)]
        write_json(folder / "report.json", report.to_json() | {"lines": lines})
        write_json(folder / "split.json", run.split.to_json() | {"qrels": run.collection.qrels})

    config = {"seed": run.recipe.seed, "max_length": run.recipe.max_length}
    artifact = run_stage(run.path, NAME, inputs=run.inputs, config=config, build=write)
    for line in read_lines(artifact.path)[1:]:
        level = logging.WARNING if line.startswith("warning: ") else logging.INFO
        logger.log(level, line)
    return artifact


def _note_on_length(run: Run) -> list[str]:
    """A note where the recipe cuts texts shorter than the model's own limit."""
    max_length = run.recipe.max_length
    if max_length is None:
        return []
    model_limit = load_model(run.base).max_seq_length
    if model_limit is None or max_length >= model_limit:
        return []
    return [
        f"note: base and tuned both read {max_length} tokens of a text (max_length); by itself "
        f"the base model reads {model_limit}, and may do better than the base measured here"
    ]


def read_lines(folder: Path) -> list[str]:
    """All lines of a finished check, sizes first."""
    lines: list[str] = read_json(folder / "report.json")["lines"]
    return lines


def read_remarks(folder: Path) -> list[str]:
    """The warnings and notes of a finished check."""
    return [line for line in read_lines(folder) if line.startswith(REMARKS)]
