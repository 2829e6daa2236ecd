"""The errors that whet raises on purpose.

Each message says what came, what was expected, where it was, and what to do about it.

    WhetError
    ├── DataError       the user's data is wrong; holds every fault         (exit code 2)
    ├── ConfigError     a setting, recipe key or argument is wrong          (exit code 2)
    ├── MissingExtra    an optional dependency is not installed             (exit code 2)
    ├── ArtifactError   a run folder is damaged or belongs to other data    (exit code 1)
    ├── TeacherError    a teacher gave no scores, or unusable ones          (exit code 1)
    ├── GeneratorError  a language model gives no more answers              (exit code 1)
    └── TrainingError   training cannot continue: the loss is 0 or not
                        finite, or all texts have the same vector           (exit code 1)
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

MAX_FAULTS_IN_MESSAGE = 20


class WhetError(Exception):
    """Base of all errors that whet raises on purpose."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the user's data: where, what, and the cure.

    `kind` is a short stable name such as "bad-json". `where` is `file:line` or an id. An error
    forbids to use the data; a warning does not.
    """

    kind: str
    where: str
    message: str
    cure: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.kind}] Cure: {self.cure}"


class DataError(WhetError):
    """The data cannot be used; `faults` holds every fault, in reading order."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [f"{len(self.faults)} fault(s) in the data"]
        lines += map(str, self.faults[:MAX_FAULTS_IN_MESSAGE])
        hidden_count = len(self.faults) - MAX_FAULTS_IN_MESSAGE
        if hidden_count > 0:
            lines.append(f"… and {hidden_count} more")
        super().__init__("\n".join(lines))


def raise_errors(faults: Sequence[Fault]) -> None:
    """Raise DataError with all faults, warnings too, if any of them is an error."""
    if any(fault.level == "error" for fault in faults):
        raise DataError(faults)


class ConfigError(WhetError):
    """A setting is unknown, out of range, or contradicts another."""

    exit_code = 2


class MissingExtra(WhetError):
    """An optional dependency is needed and not installed."""

    exit_code = 2


class ArtifactError(WhetError):
    """A run folder does not hold what it should."""


class TeacherError(WhetError):
    """A teacher failed; the scores it gave before are stored."""


class GeneratorError(WhetError):
    """A language model gives no more answers; those it gave before are stored."""


class TrainingError(WhetError):
    """Training was stopped, because to continue would make the model worthless."""


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
