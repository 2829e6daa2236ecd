"""What a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whet.evaluate.measures import PRIMARY
from whet.evaluate.slices import QueryRow, Slice
from whet.evaluate.space import Space
from whet.evaluate.verdict import Evaluation
from whet.records import InterpolationPoint, LayerUse
from whet.teach.summary import TeachSummary
from whet.train.refresh.round_log import RoundLog

LOSS_PARTS = ("loss", "contrastive", "penalty", "soft", "balance", "z")
"""Keys of a training log: the loss, and the parts that it may have."""

EXPERT_SHARE = "share/"  # the log's key for an expert is share/LAYER/EXPERT
DEV_SCORE = f"eval_{PRIMARY}"


@dataclass(frozen=True, slots=True)
class TrainingPoint:
    """What was logged at one step of training; step 0 is the base model.

    `losses` maps names of LOSS_PARTS to values. `expert_shares` maps "LAYER/EXPERT" to the share
    of the layer's tokens that went to the expert. `dev` is the score that candidates are judged
    by, None where it was not measured at this step. Shares and `dev` are in [0, 1].
    """

    step: int
    losses: Mapping[str, float] = field(default_factory=dict)
    expert_shares: Mapping[str, float] = field(default_factory=dict)
    dev: float | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "TrainingPoint":
        """Read one row of a training log. Keys that a report does not show are ignored."""
        losses = {}
        expert_shares = {}
        for key, value in row.items():
            if key in LOSS_PARTS:
                losses[key] = value
            elif key.startswith(EXPERT_SHARE):
                expert_shares[key.removeprefix(EXPERT_SHARE)] = value
        return cls(row["step"], losses, expert_shares, row.get(DEV_SCORE))


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything that a report shows.

    `data` and `model` are names as the user knows them. `passages` maps passage ids to texts and
    must hold the ids that `rows` name. `mining` counts passages by what became of them, and
    `refreshes` are the rounds of re-mining. `experts` is how the experts were used on test
    passages. `spaces` describes the embedding spaces of "base" and "tuned", or is empty.
    `teaching` is None where there were no teachers. `tradeoff` starts with the base model, and
    `share` is the interpolation weight that was kept, None where weights were not interpolated.
    `account` holds sentences on what was done, and `judge` is what decided before the test.
    `warnings` are about the data. `config` holds the settings, nested. `seconds` is per stage.
    """

    data: str
    model: str
    evaluation: Evaluation
    rows: Sequence[QueryRow]
    passages: Mapping[str, str]
    slices: Sequence[Slice] = ()
    training: Sequence[TrainingPoint] = ()
    mining: Mapping[str, int] = field(default_factory=dict)
    refreshes: Sequence[RoundLog] = ()
    experts: Sequence[LayerUse] = ()
    spaces: Mapping[str, Space] = field(default_factory=dict)
    teaching: TeachSummary | None = None
    tradeoff: Sequence[InterpolationPoint] = ()
    share: float | None = None
    account: Sequence[str] = ()
    judge: str = "dev"
    warnings: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None
