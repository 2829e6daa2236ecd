"""What is wrong with a recipe, in whet's words: unknown keys, removed keys, values out of range."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from whet.errors import ConfigError

logger = logging.getLogger(__name__)

Keys = Mapping[str, FieldInfo]
"""Every known key as it is written with dots, and its field."""

UNKNOWN_KEY_TYPES = ("extra_forbidden", "invalid_key")  # pydantic's names of these faults
SIMILARITY = 0.6  # difflib's ratio from which a known key may be what was meant
MAPPING_EXPECTED = "expected a mapping such as `train: {epochs: 2}`"
ANY_VALUE = object()


@dataclass(frozen=True, slots=True)
class RemovedKey:
    """A key that earlier versions had. At its old default it changed nothing."""

    old_default: object
    reason: str


NO_NEIGHBOURS = "neighbour batches gave lower scores than random ones"
REMOVED_KEYS = {
    "neighbours": RemovedKey(ANY_VALUE, NO_NEIGHBOURS),
    "train.batches": RemovedKey("random", NO_NEIGHBOURS),
    "train.mask_likely": RemovedKey(False, "masking likely false negatives gave lower scores"),
    "refresh.replay": RemovedKey(None, "no use was found for repeating recorded re-mining"),
    "generate.backoff": RemovedKey(ANY_VALUE, "the openai client doubles its pauses by itself"),
    "moe.level": RemovedKey("token", "routing whole texts gave lower scores than routing tokens"),
}


@dataclass(frozen=True, slots=True)
class RecipeFault:
    """One thing wrong with a recipe. Where two keys do not fit together, `key` is empty."""

    key: str
    message: str
    is_unknown: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class RecipeError(ConfigError):
    """A recipe is invalid; `faults` holds everything that is wrong with it."""

    def __init__(self, faults: Sequence[RecipeFault], keys: Keys) -> None:
        self.faults = tuple(faults)
        self.keys = keys
        advice = "docs/RECIPE.md describes every setting."
        if any(fault.is_unknown and closest_key(fault.key, keys) is None for fault in faults):
            advice += f" The keys are {', '.join(keys)}."
        lines = [str(fault) for fault in faults]
        super().__init__("\n".join(["the recipe is invalid:", *lines, advice]))

    def with_options(self, options: Mapping[str, str]) -> "RecipeError":
        """The same error naming the options behind each fault. `options` maps keys to options."""
        faults = []
        for fault in self.faults:
            names = [name for key, name in options.items() if _concerns(fault.key, key)]
            if names:
                fault = replace(fault, message=f"{fault.message} (given by {', '.join(names)})")
            faults.append(fault)
        return RecipeError(faults, self.keys)


def _concerns(faulty_key: str, key: str) -> bool:
    """Whether a fault of one key is about another: the same, its group, or one of its items."""
    return f"{faulty_key}.".startswith(f"{key}.") or f"{key}.".startswith(f"{faulty_key}.")


def recipe_error(error: ValidationError, keys: Keys) -> RecipeError:
    """Put pydantic's faults in whet's words."""
    faults = []
    for details in error.errors():
        # A list is also called too short for the items that are refused already.
        if details["type"] == "too_short" and details["input"]:
            continue
        faults.append(_fault(details, keys))
    return RecipeError(faults, keys)


def without_removed_defaults(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides or a recipe of an earlier version, without removed keys that changed nothing.

    They are named in one warning. Removed keys with another value stay, so that `derive` refuses
    them: the run cannot be continued as it was made.

    >>> without_removed_defaults({"seed": 1, "moe": {"experts": 2, "level": "text"}})
    {'seed': 1, 'moe': {'experts': 2, 'level': 'text'}}
    """
    settings = dict(recorded)
    dropped = []
    for key, removed in REMOVED_KEYS.items():
        part, _, name = key.rpartition(".")
        values = settings.get(part) if part else settings
        if not isinstance(values, Mapping) or name not in values:
            continue
        value = values[name]
        if removed.old_default is not ANY_VALUE and value != removed.old_default:
            continue
        remaining = {other: values[other] for other in values if other != name}
        settings = settings | {part: remaining} if part else remaining
        dropped.append(f"{key}: {value}")
    if dropped:
        logger.warning(f"ignored settings that this version no longer has: {', '.join(dropped)}")
    return settings


def closest_key(key: str, keys: Keys) -> str | None:
    """The known key that an unknown one probably means; None where nothing is similar.

    The same name in another part wins over a similar name in the same part, and that over a
    similar name anywhere: `epochs` means `train.epochs`, as does `train.epoch`.
    """
    parts = {known.rpartition(".")[0] for known in keys}
    part, _, name = key.rpartition(".")
    anywhere: dict[str, str] = {}
    in_part: dict[str, str] = {}
    for known in keys:
        known_part, _, known_name = known.rpartition(".")
        if known not in parts:
            anywhere[known_name] = known
        if known_part == part:
            in_part[known_name] = known
    for names, cutoff in ((anywhere, 1.0), (in_part, SIMILARITY), (anywhere, SIMILARITY)):
        matches = get_close_matches(name, names, n=1, cutoff=cutoff)
        if matches:
            return names[matches[0]]
    return None


def _fault(details: ErrorDetails, keys: Keys) -> RecipeFault:
    key = ".".join(map(str, details["loc"]))
    kind = details["type"]
    message = details["msg"].removeprefix("Value error, ")
    if not key:  # two parts that do not fit together
        return RecipeFault(key, message)
    if kind in UNKNOWN_KEY_TYPES and key in REMOVED_KEYS:
        reason = f"was removed in this version: {REMOVED_KEYS[key].reason} (docs/LOG.md)"
        return RecipeFault(key, f"{reason}; delete it from the recipe")
    if kind in UNKNOWN_KEY_TYPES:
        closest = closest_key(key, keys)
        advice = f"; did you mean {closest}?" if closest else ""
        return RecipeFault(key, f"no such setting{advice}", is_unknown=True)
    if kind == "model_type":
        expected = MAPPING_EXPECTED
    elif kind == "tuple_type":
        expected = "expected a list"
    elif kind == "string_pattern_mismatch" and key in keys:
        expected = f"expected {keys[key].description}"
    else:
        expected = message.replace("Input should be", "expected", 1)
    return RecipeFault(key, f"got {details['input']!r}; {expected}")
