"""The recipe of a run: what the one dial, `effort`, derives from the data, and what a YAML file may override."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.markup import escape

from whet.data.judgements import SPLIT_ORDER
from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.mine.config import MineConfig
from whet.records import Collection
from whet.teach.config import TeachConfig
from whet.train.config import NO_GUARD, PYDOC, GuardConfig, MoEConfig, RefreshConfig, TrainConfig

Effort = Literal["quick", "standard", "thorough"]

# Training pairs that a run sees in all, over its epochs; the most epochs; and up to how many labelled pairs are seen
# twice in any case (docs/LOG.md).
PAIRS_SEEN = {"quick": 500, "standard": 1_000, "thorough": 6_000}
MOST_EPOCHS = {"quick": 2, "standard": 4, "thorough": 10}
TWICE = {"quick": 0, "standard": 6_000, "thorough": 50_000}
SMALL = 500  # training pairs below which soft labels, guard and interpolation come by themselves
FOR_DOCUMENTS = {"generate": {"passages": 1_000}}
FOR_SMALL = {  # docs/LOG.md
    "generate": {"passages": 400},
    "train": {"soft_weight": 0.5},
    "teach": {"labels": "soft-2"},
    "guard": {"interpolate": True},
    "refresh": {"times": "off"},  # a few dozen steps
}
FOR_SYNTHETIC = {
    "guard": {"interpolate": True, "shares": (0.5,)}
}  # what WiSE-FT advises where dev cannot tell
CANDIDATES = ("all", "intermediate", "moe")  # what thorough trains, to keep what does best on dev


class Recipe(BaseModel):
    """Everything that shapes a run's result, resolved. A field that is not named keeps what `effort` derives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effort: Effort = Field(
        "standard",
        description="how much to train: quick, standard and thorough see about 500, 1,000 and 6,000 pairs over all "
        "epochs, of which there are at most 2, 4 and 10, and at least one; standard takes two of up to 6,000 labelled "
        "pairs, thorough of up to 50,000; thorough also compares all, intermediate and moe",
    )
    max_length: int | None = Field(
        None, ge=8, description="tokens read of a text; by default the model's own limit"
    )
    mine: MineConfig = Field(MineConfig(), description="hard negatives")
    generate: GenerateConfig = Field(GenerateConfig(), description="generated queries")
    passage_tokens: int = Field(
        200,
        ge=16,
        description="tokens of a passage, title included, that documents are cut into; at most max_length",
    )
    teach: TeachConfig = Field(
        TeachConfig(), description="teachers, whose labels train.soft_weight or train.loss uses"
    )
    train: TrainConfig = Field(TrainConfig(), description="training")
    moe: MoEConfig = Field(MoEConfig(), description="Mixture of Experts")
    refresh: RefreshConfig = Field(
        RefreshConfig(), description="negatives mined anew while the model learns"
    )
    guard: GuardConfig = Field(GuardConfig(), description="what must not be forgotten")
    candidates: tuple[str, ...] = Field(
        (),
        description="values of train.train_only that are each trained; the one that does best on dev is kept",
    )
    seed: int = Field(13, ge=0, description="seed of splits, pools and tests")

    @model_validator(mode="after")
    def _enough_is_mined(self) -> "Recipe":
        wanted, kept = self.train.negatives, self.mine.negatives
        if wanted > kept:
            raise ValueError(
                f"train.negatives is {wanted}, but mining keeps {kept} a query: raise mine.negatives"
            )
        return self

    @property
    def writes(self) -> bool:
        """Whether training queries are written; training on soft labels alone has no use for what nobody labelled."""
        return self.generate.passages > 0 and self.train.loss != "soft"

    def in_force(self) -> dict[str, Any]:
        """Every setting that is not left to the model, with the learning rate that `train_only` brings."""
        found = self.model_dump(mode="json", exclude_none=True)
        resolved = {"train": found["train"] | {"learning_rate": self.train.peak_learning_rate}}
        if self.moe.experts:
            resolved["moe"] = found["moe"] | {
                "balance_weight": self.moe.balance,
                "z_weight": self.moe.z,
            }
        return found | resolved

    def trials(self) -> dict[str, tuple[TrainConfig, MoEConfig]]:
        """The trainings to make, by what they train; only those that train `moe` have experts."""
        if not self.candidates:
            return {self.train.train_only: (self.train, self.moe)}
        return {
            name: (
                TrainConfig.model_validate(self.train.model_dump() | {"train_only": name}),
                self.moe.model_copy(
                    update={"experts": (self.moe.experts or 2) if "moe" in name.split("+") else 0}
                ),
            )
            for name in self.candidates
        }


PARTS: dict[str, type[BaseModel]] = {
    "": Recipe,
    "mine.": MineConfig,
    "generate.": GenerateConfig,
    "teach.": TeachConfig,
    "train.": TrainConfig,
    "moe.": MoEConfig,
    "refresh.": RefreshConfig,
    "guard.": GuardConfig,
}
# Every key as it is written with dots, and its field.
KEYS = {
    prefix + name: field
    for prefix, part in PARTS.items()
    for name, field in part.model_fields.items()
}
UNKNOWN = ("extra_forbidden", "invalid_key")  # pydantic's names of faults


def derive(
    collection: Collection,
    effort: Effort,
    overrides: Mapping[str, Any] | None = None,
    *,
    labelled: int | None = None,
) -> Recipe:
    """The recipe for a collection: derived values first, then `overrides` (nested, as in YAML).

    `labelled` is how many training pairs there are without other wordings of their queries, where some were written.
    Raises ConfigError naming every key that is unknown or out of range.
    """
    effort = (overrides or {}).get("effort", effort)
    if not isinstance(effort, str) or effort not in PAIRS_SEEN:
        raise ConfigError(f"effort: got {effort!r}; expected {', '.join(PAIRS_SEEN)}")
    derived = _by_data(collection, effort, labelled)
    wanted = _merged(derived, overrides or {})
    if "train_only" not in _part(wanted, "train") and "candidates" not in wanted:
        if _part(wanted, "moe").get("experts"):
            wanted = _merged({"train": {"train_only": "moe"}}, wanted)
        elif effort == "thorough":
            wanted["candidates"] = CANDIDATES
    if isinstance(seed := wanted.get("seed"), int):
        for part in ("mine", "generate", "teach", "train"):
            wanted = _merged({part: {"seed": seed}}, wanted)
    try:
        recipe = Recipe.model_validate(wanted)
        recipe.trials()
    except ValidationError as error:
        # A list is also called too short for the items that are refused already.
        errors = [one for one in error.errors() if one["type"] != "too_short" or not one["input"]]
        faults = [_fault(one["loc"], one["type"], one["msg"], one["input"]) for one in errors]
        lost = any(
            not _closest(".".join(map(str, one["loc"]))) for one in errors if one["type"] in UNKNOWN
        )
        keys = f" The keys are {', '.join(KEYS)}." if lost else ""
        last = f"docs/RECIPE.md describes every setting.{keys}"
        raise ConfigError("\n".join(["the recipe is invalid:", *faults, last])) from error
    return recipe


NAMING = {
    "guard": ("data",),
    "generate": ("generator", "prompts"),
    "teach": ("teachers",),
}
# What these settings may hold that is no file, whatever lies in the folder where whet is started.
WORDS = {PYDOC, NO_GUARD, "base", "bm25", "bm25-characters", "offline"}


def with_full_paths(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides in which settings name files and folders by their full paths: a run is opened from anywhere."""
    found = dict(overrides)
    for part, names in NAMING.items():
        if isinstance(settings := found.get(part), Mapping):
            found[part] = {
                key: _full(value) if key in names else value for key, value in settings.items()
            }
    return found


def _full(value: Any) -> Any:
    """A path, alone or behind KIND:, in full; a list of such; anything else as it is."""
    if isinstance(value, list | tuple):
        return [_full(one) for one in value]
    if not isinstance(value, str) or not value or value in WORDS:
        return value
    kind, colon, rest = value.rpartition(":")
    if Path(value).exists():
        return str(Path(value).resolve())
    return f"{kind}:{Path(rest).resolve()}" if colon and rest and Path(rest).exists() else value


def _by_data(collection: Collection, effort: Effort, labelled: int | None) -> dict[str, Any]:
    """What the size and the kind of the data derive."""
    pairs = len(collection.pairs("train"))
    asked = pairs if labelled is None else labelled
    least = 2 if asked <= TWICE[effort] and "train" not in collection.synthetic else 1
    epochs = min(MOST_EPOCHS[effort], max(least, round(PAIRS_SEEN[effort] / max(pairs, 1))))
    derived: dict[str, Any] = {
        "effort": effort,
        "train": {"epochs": epochs, "batch_size": batch_size(pairs)},
    }
    if asked < SMALL:
        derived = _merged(derived, FOR_SMALL)
    if not pairs or "train" in collection.synthetic:
        derived = _merged(derived, FOR_DOCUMENTS)
    if "train" in collection.synthetic:
        derived = _merged(derived, FOR_SYNTHETIC)
    if collection.name == PYDOC:
        derived = _merged(derived, {"guard": {"data": NO_GUARD}})  # it would guard itself
    return derived


def describe_recipe(recipe: Recipe, collection: Collection) -> str:
    """One line, as rich markup, of what is about to be done to what."""
    train = recipe.train
    return (
        f"{escape(collection.name)}: {len(collection.passages):,} passages, "
        + ", ".join(
            f"{found:,} {name}"
            for name in SPLIT_ORDER
            if (found := len(collection.positives(name)))
        )
        + f" queries. effort {recipe.effort}: {train.epochs} epoch(s), batches of {train.batch_size}, "
        f"{train.negatives} mined negative(s) a query, {train.loss}, λ {train.penalty_weight}, τ {train.temperature}"
        f"{''.join(_besides(recipe, collection))}"
    )


def _besides(recipe: Recipe, collection: Collection) -> Iterable[str]:
    """What a recipe asks for beyond the ordinary, for the line that opens a run."""
    pairs = len(collection.pairs("train"))
    unasked = len(collection.passages) - len(
        {p for split in collection.qrels for p in collection.answering(split)}
    )
    if pairs < SMALL and recipe.train.taught and recipe.guard.interpolate:
        yield f"; small data, {pairs} of less than {SMALL} pairs: soft labels, weights interpolated with the base model"
    if recipe.writes and unasked:
        yield f", training queries for up to {min(unasked, recipe.generate.passages):,} passages that have none"
    if recipe.refresh.off and recipe.train.negatives:
        yield ", negatives mined once"
    if recipe.moe.experts:
        yield f", {recipe.moe.experts} experts a layer"
    if recipe.train.taught:
        yield f", {recipe.teach.labels} labels of {', '.join(map(escape, recipe.teach.teachers))}"
    if recipe.guard.data != NO_GUARD:
        yield f", guard {escape(recipe.guard.data)}"


def batch_size(pairs: int) -> int:
    """Queries per step: 32, fewer for small data, so that an epoch has some eight steps.

    >>> batch_size(4000), batch_size(96), batch_size(30)
    (32, 12, 8)
    """
    return max(8, min(32, pairs // 8))


def read_recipe(path: Path) -> dict[str, Any]:
    """Overrides from a YAML file; raises ConfigError when it cannot be read or is no mapping."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be opened: {error.strerror}. Check the path of the recipe."
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: cannot be read as YAML ({error}). Give a mapping such as `train: {{epochs: 2}}`."
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path}: holds {type(found).__name__}, expected a mapping such as `train: {{epochs: 2}}`."
        )
    return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            _merged(old, value)
            if isinstance(old, Mapping) and isinstance(value, Mapping)
            else value
        )
    return merged


def _part(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = recipe.get(name)
    return part if isinstance(part, Mapping) else {}


def _fault(place: Sequence[int | str], kind: str, message: str, got: object) -> str:
    """One of pydantic's faults in whet's words: the key, what came, what is expected."""
    key = ".".join(map(str, place))
    if not place:  # two parts that do not fit together
        return message.removeprefix("Value error, ")
    if kind in UNKNOWN:
        close = _closest(key)
        return f"{key}: no such setting" + (f"; did you mean {close}?" if close else "")
    if kind == "model_type":
        expected = "expected a mapping such as `train: {epochs: 2}`"
    elif kind == "tuple_type":
        expected = "expected a list"
    elif kind == "string_pattern_mismatch" and key in KEYS:
        expected = f"expected {KEYS[key].description}"
    else:
        expected = message.replace("Input should be", "expected", 1).removeprefix("Value error, ")
    return f"{key}: got {got!r}; {expected}"


def _closest(key: str) -> str | None:
    """The known key that an unknown one was probably meant to be: that of another part, else one much like it.

    >>> _closest("epochs"), _closest("train.epoch"), _closest("train.lr")
    ('train.epochs', 'train.epochs', None)
    """
    part, _, name = key.rpartition(".")
    every = {known.rpartition(".")[2]: known for known in KEYS if f"{known}." not in PARTS}
    own = {known.rpartition(".")[2]: known for known in KEYS if known.rpartition(".")[0] == part}
    for names, cutoff in ((every, 1.0), (own, 0.6), (every, 0.6)):
        if close := get_close_matches(name, names, n=1, cutoff=cutoff):
            return names[close[0]]
    return None
