"""The errors that whet raises on purpose; every message says what came, what was expected, where, and what to do.

WhetError
├── DataError        the user's data is wrong; gathers every fault, then raises once     (exit code 2)
├── ConfigError      a setting, recipe key or argument is wrong                          (exit code 2)
├── MissingExtra     an optional dependency is needed; the message is its install line   (exit code 2)
├── ArtifactError    a run folder is damaged or belongs to something else                (exit code 1)
├── TeacherError     a teacher gave no scores, or not what scores can be                (exit code 1)
├── GeneratorError   a language model cannot be queried any further                     (exit code 1)
└── TrainingError    training cannot go on: loss is 0, not finite, or nothing is told apart (exit code 1)
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

MOST_SHOWN = 20  # faults in one message


class WhetError(Exception):
    """Base of all errors that whet raises on purpose."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the user's data: where, what, and the cure.

    `kind` is a short stable name ("bad-json"), `where` is `file:line` or an id.
    """

    kind: str
    where: str
    message: str
    cure: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.kind}] Cure: {self.cure}"


class DataError(WhetError):
    """The data cannot be used; `faults` holds everything that was found, in reading order."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults[:MOST_SHOWN]]
        if len(self.faults) > MOST_SHOWN:
            lines.append(f"… and {len(self.faults) - MOST_SHOWN} more")
        super().__init__("\n".join([f"{len(self.faults)} fault(s) in the data", *lines]))


def raise_errors(faults: Sequence[Fault]) -> None:
    """Raise DataError with all faults, warnings too, where any is an error; warnings alone let the data be used."""
    if any(fault.level == "error" for fault in faults):
        raise DataError(faults)


class ConfigError(WhetError):
    """A setting is unknown, out of range, or contradicts another."""

    exit_code = 2


class MissingExtra(WhetError):
    """A part of whet that is not installed was asked for."""

    exit_code = 2


class ArtifactError(WhetError):
    """A run folder does not hold what it should."""


class TeacherError(WhetError):
    """A teacher failed; what was scored before is stored."""


class GeneratorError(WhetError):
    """A language model cannot be queried any further; what it has answered is stored."""


class TrainingError(WhetError):
    """Training was stopped because going on would make the model worthless."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or raise MissingExtra with the line that installs it.

    >>> require("json", extra="faiss").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} is not installed; run: pip install 'whet[{extra}]'"
        ) from error
