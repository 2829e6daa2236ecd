"""The figures of a round of re-mining, as its folder records them.

    job.json        what a second process is to mine                 JobLog
    mined.json      what was mined                                   MinedLog
    summary.json    what was mined, and the step it is used from     RoundLog

Each file repeats the fields of the one before. This module does not load torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

LOW_RECALL = 0.8  # of a pool; below it a line says what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """What is to be mined.

    `round` counts from 1. `mined_at` is the step whose weights mine, `epoch` the same as a number
    of epochs. `cost` says what is encoded. `queries` are mined for. `dev` is the dev score at that
    step, None where there is no dev set. `threads` are the threads of torch in the training.
    `boundaries` are the steps at which re-mining was planned.
    """

    round: int
    mined_at: int
    epoch: float
    cost: Literal["full", "pool"]
    queries: int
    dev: float | None
    threads: int
    boundaries: Sequence[int] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the object of the log's file, its keys in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Undo `to_json`. Keys of earlier versions that are no longer used are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in record.items() if key in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedLog(JobLog):
    """What was mined.

    `encoded` passages were searched; `recall` is the estimated share of the corpus's best ranks
    among them. Then come the figures of `whet.mine.summary.MiningSummary`, and the time in seconds.
    """

    encoded: int
    recall: float
    candidates: int
    taken: Mapping[str, int]
    left_over: int
    dropped: Mapping[str, int]
    short: int
    mean_negative_score: float | None
    mean_positive_score: float | None
    positives: int
    positives_found: int
    mean_positive_rank: float | None
    suspected_share: float = 0.0  # not in logs of earlier versions
    seconds: float

    def installed(
        self, *, used_from: int, new_queries: int, overlap: float, more_seconds: float
    ) -> "RoundLog":
        """The log of the round that this becomes; `more_seconds` are what installing took."""
        record = self.to_json()
        record["seconds"] = round(self.seconds + more_seconds, 2)
        record["used_from"] = used_from
        record["new_queries"] = new_queries
        record["overlap"] = round(overlap, 4)
        return RoundLog.from_json(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLog(MinedLog):
    """A round whose negatives are used.

    They are used in all steps after `used_from`. `new_queries` positive queries (h*) came with
    them. `overlap` is the share of the negatives that their queries had before.
    """

    used_from: int
    new_queries: int
    overlap: float

    @property
    def unchanged(self) -> float:
        """Share of the negatives that stayed; what the search missed counts as changed."""
        return self.overlap * self.recall

    @property
    def line(self) -> str:
        """What the round came to, in one line."""
        searched = f"{self.encoded:,} passages"
        if self.cost == "pool":
            searched += f" (a pool with about {self.recall:.0%} of the corpus's best ranks"
            if self.recall < LOW_RECALL:
                searched += "; raise refresh.depth for more"
            searched += ")"
        if self.used_from != self.mined_at:
            searched += f", used from step {self.used_from}"
        return (
            f"step {self.mined_at}: re-mined negatives of {self.queries:,} queries in {searched}; "
            f"{1 - self.overlap:.0%} are new, {self.suspected_share:.1%} suspected answers; "
            f"{self.seconds:.0f} s"
        )
