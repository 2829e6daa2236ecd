"""What a finished run holds, read back from its stage folders as typed records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.files import MANIFEST, read_json, read_jsonl
from whet.records import LayerUse
from whet.run.training_result import TrainingResult
from whet.stage_folder import peak_memory_mb
from whet.teach.summary import TeachSummary
from whet.train.refresh.round_log import RoundLog

if TYPE_CHECKING:
    from whet.evaluate.slices import QueryRow, Slice
    from whet.evaluate.space import Space
    from whet.evaluate.verdict import Evaluation
    from whet.report.contents import TrainingPoint

STAGE_NAMES = (
    "queries",
    "paraphrases",
    "check",
    "mine",
    "generate",
    "teach",
    "train",
    "evaluate",
    "report",
    "model",
)
"""Every stage of `whet tune`, in order; the first two exist only where the recipe asks for them."""


# ---- stages


def seconds_of(folder: Path) -> float | None:
    """Seconds that a finished stage took; None where it does not exist."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    seconds: float | None = read_json(manifest).get("seconds")
    return seconds


def stage_seconds(path: Path) -> dict[str, float]:
    """Stage name → seconds, of every finished stage of a run."""
    seconds = {name: seconds_of(path / name) for name in STAGE_NAMES}
    return {name: value for name, value in seconds.items() if value is not None}


def peak_of(path: Path) -> int:
    """The most memory, in MB, that a process held which built a stage of the run.

    This process counts where no stage is finished.
    """
    peaks = []
    for name in STAGE_NAMES:
        manifest = path / name / MANIFEST
        if manifest.exists():
            peaks.append(read_json(manifest).get("peak_memory_mb", 0))
    return max(peaks, default=peak_memory_mb())


def summary_of(path: Path) -> dict[str, Any]:
    """The object that `whet tune --json` prints."""
    result: dict[str, Any] = read_json(path / "evaluate" / "result.json")
    more = {
        "seconds": stage_seconds(path),
        "peak_memory_mb": peak_of(path),
        "model": str(path / "model"),
    }
    return result | more


# ---- train, teach


def read_training_result(path: Path) -> TrainingResult:
    """What the train stage of a run decided."""
    return TrainingResult.from_json(read_json(path / "train" / "result.json"))


def read_refreshes(path: Path) -> list[RoundLog]:
    """The rounds of re-mining in the training that was kept, in order."""
    candidate = read_training_result(path).trial
    folder = path / "train" / "refresh"
    files = [*(folder / candidate).glob("round-*/summary.json")]
    files += folder.glob("round-*/summary.json")
    rounds = [RoundLog.from_json(read_json(file)) for file in files]
    return sorted(rounds, key=lambda log: log.round)


def training_curve(path: Path) -> "list[TrainingPoint]":
    """The base model, as step 0, and every logged step of the train stage."""
    from whet.report.contents import TrainingPoint

    base = TrainingPoint(step=0, dev=read_training_result(path).dev_base)
    log = read_jsonl(path / "train" / "log.jsonl")
    return [base, *(TrainingPoint.from_json(row) for row in log)]


def read_teachers(path: Path) -> TeachSummary | None:
    """What the teach stage tells of its teachers; None where there were none."""
    summary = TeachSummary.from_json(read_json(path / "teach" / "summary.json"))
    return summary if summary.pairs else None


# ---- evaluate


def read_evaluation(path: Path) -> "tuple[Evaluation, list[QueryRow], list[Slice]]":
    """Evaluation, rows per query, and slices of a run."""
    from whet.evaluate.slices import QueryRow, Slice
    from whet.evaluate.verdict import Evaluation

    folder = path / "evaluate"
    evaluation = Evaluation.from_json(read_json(folder / "evaluation.json"))
    rows = [QueryRow.from_json(row) for row in read_jsonl(folder / "per_query.jsonl")]
    slices = [Slice.from_json(row) for row in read_json(folder / "slices.json")]
    return evaluation, rows, slices


def read_experts(path: Path) -> list[LayerUse]:
    """How the tuned model's experts were used on test passages; empty where it has none."""
    file = path / "evaluate" / "experts.json"
    if not file.exists():
        return []
    return [LayerUse.from_json(row) for row in read_json(file)]


def read_spaces(path: Path) -> "dict[str, Space]":
    """The embedding spaces of base and tuned; empty where they were not measured."""
    from whet.evaluate.space import Space

    file = path / "evaluate" / "space.json"
    if not file.exists():
        return {}
    return {name: Space.from_json(values) for name, values in read_json(file).items()}
