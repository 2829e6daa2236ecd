"""What a check of the data counted and found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from whet.errors import Fault

TextKind: TypeAlias = Literal["query", "passage"]


@dataclass(frozen=True, slots=True)
class NearTexts:
    """Two texts that overlap by `overlap` in [0, 1].

    `id` is in `split`, or anywhere if that is "". `other` is in train, or an earlier passage.
    """

    kind: TextKind
    split: str
    id: str
    other: str
    overlap: float


@dataclass(frozen=True, slots=True)
class SplitSize:
    """How many queries of a split have positives, and how many positives there are."""

    queries: int
    positives: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check counted and found.

    `faults` are those of reading and, as warnings, those of the check itself. `truncated` is the
    share of passages, in [0, 1], that are longer than the model reads; None if not measured.
    """

    name: str
    passages: int
    queries: int
    splits: Mapping[str, SplitSize]
    faults: tuple[Fault, ...]
    duplicate_passages: int
    duplicate_queries: int
    near_duplicates: tuple[NearTexts, ...]
    leaks: tuple[NearTexts, ...]
    truncated: float | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the fields of `report.json` in plain JSON types."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Everything that a reader wants to see, one thing per line."""
        lines = [f"{self.name}: {self.passages} passages, {self.queries} queries"]
        for split, size in self.splits.items():
            if size.queries:
                lines.append(f"{split}: {size.queries} queries, {size.positives} positives")
        if not self.faults:
            lines.append("no fault found")
        lines += [f"{fault.level}: {fault}" for fault in self.faults]
        lines += [f"note: {note}" for note in self.notes]
        return lines
