"""What is wrong with a recipe, in whet's words: unknown keys, removed keys, values out of range."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from whet.errors import ConfigError

logger = logging.getLogger(__name__)

Keys: TypeAlias = Mapping[str, FieldInfo]
"""Every known key as it is written with dots, and its field."""

Settings: TypeAlias = Mapping[str, Any]
"""Nested settings, as in YAML."""

UNKNOWN_KEY_TYPES = ("extra_forbidden", "invalid_key")  # pydantic's names of these faults
MIN_SIMILARITY = 0.6  # difflib's ratio from which a known key may be what was meant
MAPPING_EXPECTED = "expected a mapping such as `train: {epochs: 2}`"
ADVICE = "docs/RECIPE.md describes every setting."
ANY_VALUE = object()


@dataclass(frozen=True, slots=True)
class RemovedKey:
    """A key that earlier versions had. At its old default it changed nothing."""

    old_default: object
    reason: str

    def is_default(self, value: object) -> bool:
        """Whether a value of the key changed nothing."""
        return self.old_default is ANY_VALUE or value == self.old_default


WORSE_BATCHES = "neighbour batches gave lower scores than random ones"
REMOVED_KEYS = {
    "neighbours": RemovedKey(ANY_VALUE, WORSE_BATCHES),
    "train.batches": RemovedKey("random", WORSE_BATCHES),
    "train.mask_likely": RemovedKey(False, "masking likely false negatives gave lower scores"),
    "refresh.replay": RemovedKey(None, "no use was found for repeating recorded re-mining"),
    "generate.backoff": RemovedKey(ANY_VALUE, "the openai client chooses the pauses between tries"),
    "moe.level": RemovedKey("token", "routing whole texts gave lower scores than routing tokens"),
}


@dataclass(frozen=True, slots=True)
class RecipeFault:
    """One thing wrong with a recipe. Where two keys do not fit together, `key` is empty."""

    key: str
    message: str
    is_unknown: bool = False

    def __str__(self) -> str:
        if not self.key:
            return self.message
        return f"{self.key}: {self.message}"


class RecipeError(ConfigError):
    """A recipe is invalid; `faults` holds everything that is wrong with it."""

    def __init__(self, faults: Sequence[RecipeFault], keys: Keys) -> None:
        self.faults = tuple(faults)
        self.keys = keys
        lines = ["the recipe is invalid:"]
        lines += map(str, faults)
        lines.append(ADVICE)
        if self._is_lost():
            lines[-1] += f" The keys are {', '.join(keys)}."
        super().__init__("\n".join(lines))

    def _is_lost(self) -> bool:
        """Whether an unknown key is like no known one."""
        for fault in self.faults:
            if fault.is_unknown and closest_key(fault.key, self.keys) is None:
                return True
        return False

    def with_options(self, options: Mapping[str, str]) -> "RecipeError":
        """The same error naming the options behind each fault. `options` maps keys to options."""
        faults = []
        for fault in self.faults:
            names = [name for key, name in options.items() if _concerns(fault.key, key)]
            if names:
                given_by = f" (given by {', '.join(names)})"
                fault = replace(fault, message=fault.message + given_by)
            faults.append(fault)
        return RecipeError(faults, self.keys)


def _concerns(faulty_key: str, key: str) -> bool:
    """Whether a fault of one key is about another: the same, its group, or one of its items."""
    faulty = f"{faulty_key}."
    other = f"{key}."
    return faulty.startswith(other) or other.startswith(faulty)


def recipe_error(error: ValidationError, keys: Keys) -> RecipeError:
    """Put pydantic's faults in whet's words."""
    faults = []
    for details in error.errors():
        # A list is also called too short for the items that are refused already.
        if details["type"] == "too_short" and details["input"]:
            continue
        faults.append(_fault(details, keys))
    return RecipeError(faults, keys)


def _fault(details: ErrorDetails, keys: Keys) -> RecipeFault:
    key = ".".join(map(str, details["loc"]))
    if details["type"] in UNKNOWN_KEY_TYPES:
        return _unknown_key(key, keys)
    if not key:  # two parts that do not fit together
        return RecipeFault(key, _own_message(details))
    expected = _expected(details, key, keys)
    return RecipeFault(key, f"got {details['input']!r}; {expected}")


def _unknown_key(key: str, keys: Keys) -> RecipeFault:
    removed = REMOVED_KEYS.get(key)
    if removed is not None:
        reason = f"was removed in this version: {removed.reason} (docs/LOG.md)"
        return RecipeFault(key, f"{reason}; delete it from the recipe")
    closest = closest_key(key, keys)
    advice = f"; did you mean {closest}?" if closest else ""
    return RecipeFault(key, f"no such setting{advice}", is_unknown=True)


def _expected(details: ErrorDetails, key: str, keys: Keys) -> str:
    """What a value should have been."""
    kind = details["type"]
    if kind == "model_type":
        return MAPPING_EXPECTED
    if kind == "tuple_type":
        return "expected a list"
    if kind == "string_pattern_mismatch" and key in keys:
        return f"expected {keys[key].description}"
    return _own_message(details).replace("Input should be", "expected", 1)


def _own_message(details: ErrorDetails) -> str:
    """The message of a fault, without pydantic's introduction to those that whet raised."""
    return details["msg"].removeprefix("Value error, ")


def without_removed_defaults(recorded: Settings) -> Settings:
    """Overrides or a recipe of an earlier version, without removed keys that changed nothing.

    They are named in one warning. Removed keys with another value stay, so that `derive` refuses
    them: the run cannot be continued as it was made.

    >>> without_removed_defaults({"seed": 1, "moe": {"experts": 2, "level": "text"}})
    {'seed': 1, 'moe': {'experts': 2, 'level': 'text'}}
    """
    settings = dict(recorded)
    ignored: list[str] = []
    for key, removed in REMOVED_KEYS.items():
        part, _, name = key.rpartition(".")
        values = settings.get(part) if part else settings
        if not isinstance(values, Mapping) or name not in values:
            continue
        value = values[name]
        if not removed.is_default(value):
            continue
        remaining = dict(values)
        del remaining[name]
        if part:
            settings[part] = remaining
        else:
            settings = remaining
        ignored.append(f"{key}: {value}")
    if ignored:
        logger.warning(f"ignored settings that this version no longer has: {', '.join(ignored)}")
    return settings


def closest_key(key: str, keys: Keys) -> str | None:
    """The known key that an unknown one probably means; None where nothing is similar.

    The same name in another part wins over a similar name in the same part, and that over a
    similar name anywhere: `epochs` means `train.epochs`, as does `train.epoch`.
    """
    part, name = _split(key)
    parts = {_split(known)[0] for known in keys}
    anywhere: dict[str, str] = {}
    in_part: dict[str, str] = {}
    for known in keys:
        known_part, known_name = _split(known)
        if known not in parts:
            anywhere[known_name] = known
        if known_part == part:
            in_part[known_name] = known
    attempts = (
        (anywhere, 1.0),
        (in_part, MIN_SIMILARITY),
        (anywhere, MIN_SIMILARITY),
    )
    for names, cutoff in attempts:
        matches = get_close_matches(name, names, n=1, cutoff=cutoff)
        if matches:
            return names[matches[0]]
    return None


def _split(key: str) -> tuple[str, str]:
    """The part and the name of a key; the part is empty for a key of the whole recipe."""
    part, _, name = key.rpartition(".")
    return part, name
