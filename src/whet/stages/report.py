"""Stage `report`: one page and one Markdown file that tell what the run did and what it gave.

Reads every other stage. Writes index.html, report.md.
"""

from collections.abc import Mapping
from pathlib import Path

from whet import __version__
from whet.files import MANIFEST, read_json
from whet.moe.usage import starving
from whet.report.contents import ReportInput
from whet.report.markdown import write_markdown
from whet.report.page import write_page
from whet.run.account import account
from whet.run.folder import Run
from whet.run.results import (
    STAGE_NAMES,
    peak_of,
    read_evaluation,
    read_experts,
    read_refreshes,
    read_spaces,
    read_teachers,
    read_training_result,
    stage_seconds,
    training_curve,
)
from whet.stage_folder import Artifact, locked, run_stage
from whet.stages import check, mine

NAME = "report"


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/report` up to date."""

    def write(folder: Path) -> None:
        report = report_input(run)
        write_page(folder / "index.html", report)
        write_markdown(folder / "report.md", report)

    inputs = {stage: artifact.fingerprint for stage, artifact in done.items()}
    config = {"recipe": run.recipe.in_force(), "model": run.base, "whet": __version__}
    return run_stage(run.path, NAME, inputs=inputs, config=config, build=write)


def report_input(run: Run) -> ReportInput:
    """Gather what the report tells from the run's stage folders."""
    evaluation, rows, slices = read_evaluation(run.path)
    training = read_training_result(run.path)
    experts = read_experts(run.path)
    return ReportInput(
        data=run.collection.name,
        model=run.base,
        evaluation=evaluation,
        rows=rows,
        passages=run.passages,
        slices=slices,
        training=training_curve(run.path),
        mining=mine.read_summary(run.path / "mine").counts(),
        refreshes=read_refreshes(run.path),
        experts=experts,
        spaces=read_spaces(run.path),
        teaching=read_teachers(run.path),
        tradeoff=training.tradeoff,
        share=training.kept_share,
        account=account(run),
        judge=training.judge,
        warnings=[*check.read_remarks(run.path / "check"), *starving(experts)],
        config=run.recipe.in_force(),
        seconds=stage_seconds(run.path),
        peak_memory_mb=peak_of(run.path),
    )


def rebuild(run: Run) -> Artifact:
    """Write the report of a finished run as this version of whet does, whatever version made it."""
    done: dict[str, Artifact] = {}
    with locked(run.path):
        for name in STAGE_NAMES[: STAGE_NAMES.index(NAME)]:
            manifest = run.path / name / MANIFEST
            if manifest.exists():
                fingerprint = read_json(manifest)["fingerprint"]
                done[name] = Artifact(manifest.parent, fingerprint, 0.0, skipped=True)
        return build(run, done)
