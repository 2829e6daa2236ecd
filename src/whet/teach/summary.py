"""What the teach stage reports: the record of teach/summary.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whet.teach.quality import Quality


@dataclass(frozen=True, slots=True)
class TeachSummary:
    """The training pairs, their labels, and the teachers.

    `pairs` is 0 where training uses no soft labels; then the rest is empty. `mean_label_of_others`
    is None where every pair is a positive. `left_out` names the teachers that were no better than
    chance. `agreement` holds the rank correlation of every two teachers: one row for each teacher,
    in the order of `teachers`.
    """

    pairs: int = 0
    positives: int = 0
    mean_label_of_positives: float | None = None
    mean_label_of_others: float | None = None
    teachers: Mapping[str, Quality] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    agreement: tuple[tuple[float, ...], ...] = ()

    @property
    def chosen(self) -> list[str]:
        """Names of the teachers whose scores went into the labels."""
        return [name for name in self.teachers if name not in self.left_out]

    def to_json(self) -> dict[str, Any]:
        """The file's content; nothing but `pairs` where there are none."""
        if not self.pairs:
            return {"pairs": 0}

        teachers = {}
        for name, quality in self.teachers.items():
            teachers[name] = quality.to_json()

        return {
            "pairs": self.pairs,
            "positives": self.positives,
            "mean_label_of_positives": self.mean_label_of_positives,
            "mean_label_of_others": self.mean_label_of_others,
            "teachers": teachers,
            "left_out": list(self.left_out),
            "agreement": [list(row) for row in self.agreement],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TeachSummary":
        """Read what `to_json` gave."""
        if not values["pairs"]:
            return cls()

        teachers = {}
        for name, quality in values["teachers"].items():
            teachers[name] = Quality.from_json(quality)

        return cls(
            pairs=values["pairs"],
            positives=values["positives"],
            mean_label_of_positives=values["mean_label_of_positives"],
            mean_label_of_others=values["mean_label_of_others"],
            teachers=teachers,
            left_out=tuple(values["left_out"]),
            agreement=tuple(tuple(row) for row in values["agreement"]),
        )
