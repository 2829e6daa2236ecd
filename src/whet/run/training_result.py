"""What the train stage decided: the record in `RUN/train/result.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from whet.records import InterpolationPoint

Kept = Literal["tuned", "base"]
JudgeName = Literal["dev", "cross-validation"]


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """One candidate: nDCG@10 on dev, number of trained weights, step whose weights it took."""

    dev: float
    trained_parameters: int
    best_step: int


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What was trained, how it scored before the test, and which model was kept.

    Scores are means of nDCG@10 in [0, 1]. `trial` names the best candidate, and `trials` holds all
    of them. `judge` is what the scores come from, over `judged` queries. `guard_base` and
    `guard_tuned` are scores on the forgetting check, None without one. `share` is the interpolation
    weight that was taken, and `line` all that were scored; None and empty where weights were not
    interpolated.
    """

    kept: Kept
    judge: JudgeName
    judged: int | None
    dev_base: float
    dev_best: float
    trial: str
    trials: Mapping[str, CandidateScore]
    trained_parameters: int
    total_parameters: int
    best_step: int
    stopped_early: bool
    guard_base: float | None = None
    guard_tuned: float | None = None
    share: float | None = None
    line: tuple[InterpolationPoint, ...] = ()

    @property
    def kept_share(self) -> float | None:
        """The interpolation weight of the model that was kept; None without interpolation."""
        if self.share is None or self.kept == "tuned":
            return self.share
        return 0.0

    @property
    def tradeoff(self) -> list[InterpolationPoint]:
        """The base model, and every point that was scored.

        Without interpolation this is the base model and, if it was kept, the tuned one.
        """
        base = InterpolationPoint(0.0, self.dev_base, self.guard_base)
        if self.line:
            return [base, *self.line]
        if self.kept == "base":
            return [base]
        return [base, InterpolationPoint(1.0, self.dev_best, self.guard_tuned)]

    def to_json(self) -> dict[str, Any]:
        """Give the object of `result.json`; what does not apply is left out."""
        record = asdict(self)
        if self.guard_base is None:
            del record["guard_base"], record["guard_tuned"]
        if not self.line:
            del record["share"], record["line"]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TrainingResult":
        """Undo `to_json`. Earlier versions did not record `judge` and `judged`."""
        trials = {name: CandidateScore(**scores) for name, scores in record["trials"].items()}
        line = tuple(InterpolationPoint(**point) for point in record.get("line", ()))
        return cls(
            kept=record["kept"],
            judge=record.get("judge", "dev"),
            judged=record.get("judged"),
            dev_base=record["dev_base"],
            dev_best=record["dev_best"],
            trial=record["trial"],
            trials=trials,
            trained_parameters=record["trained_parameters"],
            total_parameters=record["total_parameters"],
            best_step=record["best_step"],
            stopped_early=record.get("stopped_early", False),
            guard_base=record.get("guard_base"),
            guard_tuned=record.get("guard_tuned"),
            share=record.get("share"),
            line=line,
        )
