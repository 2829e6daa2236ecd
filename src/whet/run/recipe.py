"""The recipe of a run: every setting, and what `effort` and the data derive."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from whet.data.judgements import SPLIT_ORDER
from whet.generate.config import GenerateConfig
from whet.mine.config import MineConfig
from whet.records import Collection
from whet.run.recipe_errors import RecipeError, RecipeFault, Settings, recipe_error
from whet.teach.config import TeachConfig
from whet.train.config import TrainConfig
from whet.train.forgetting_config import NO_GUARD, PYDOC, GuardConfig
from whet.train.moe_config import MoEConfig
from whet.train.refresh.config import RefreshConfig

Effort = Literal["quick", "standard", "thorough"]

# Training pairs that all epochs together read (docs/LOG.md).
PAIRS_SEEN = {"quick": 500, "standard": 1_000, "thorough": 6_000}
MAX_EPOCHS = {"quick": 2, "standard": 4, "thorough": 10}
# Up to so many labelled pairs are read at least twice (docs/LOG.md).
MAX_PAIRS_READ_TWICE = {"quick": 0, "standard": 6_000, "thorough": 50_000}
SMALL_DATA_PAIRS = 500  # fewer training pairs are small data
MIN_BATCH_SIZE = 8
MAX_BATCH_SIZE = 32
STEPS_PER_EPOCH = 8  # that small data should have at least
EXPERTS_OF_CANDIDATE = 2

FOR_DOCUMENTS = {"generate": {"passages": 1_000}}
FOR_SMALL_DATA = {  # docs/LOG.md
    "generate": {"passages": 400},
    "train": {"soft_weight": 0.5},
    "teach": {"labels": "soft-2"},
    "guard": {"interpolate": True},
    "refresh": {"times": "off"},  # a few dozen steps
}
# Synthetic dev queries cannot tell how much to interpolate; WiSE-FT (arXiv 2109.01903) advises 0.5.
FOR_SYNTHETIC_QUERIES = {"guard": {"interpolate": True, "shares": (0.5,)}}
FOR_PYDOC = {"guard": {"data": NO_GUARD}}  # it would be its own forgetting check
THOROUGH_CANDIDATES = ("all", "intermediate", "moe")
SEEDED_PARTS = ("mine", "generate", "teach", "train")


class Recipe(BaseModel):
    """All settings of a run, resolved. What nobody set is derived from `effort` and the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effort: Effort = Field(
        "standard",
        description="how much to train: quick, standard and thorough read about 500, 1,000 and "
        "6,000 pairs over all epochs, in 1 to 2, 4 and 10 epochs; standard takes at least 2 epochs "
        "of up to 6,000 labelled pairs, thorough of up to 50,000; thorough also compares training "
        "all, intermediate and moe",
    )
    max_length: int | None = Field(
        None, ge=8, description="tokens read of a text; by default the model's own limit"
    )
    mine: MineConfig = Field(MineConfig(), description="hard negatives")
    generate: GenerateConfig = Field(GenerateConfig(), description="synthetic queries")
    passage_tokens: int = Field(
        200,
        ge=16,
        description="tokens of a passage, title included, that documents are cut into; at most "
        "max_length",
    )
    teach: TeachConfig = Field(
        TeachConfig(), description="teachers, whose labels train.soft_weight or train.loss uses"
    )
    train: TrainConfig = Field(TrainConfig(), description="training")
    moe: MoEConfig = Field(MoEConfig(), description="Mixture of Experts")
    refresh: RefreshConfig = Field(
        RefreshConfig(), description="re-mining of hard negatives during training"
    )
    guard: GuardConfig = Field(
        GuardConfig(), description="forgetting check and interpolation with the base model"
    )
    candidates: tuple[str, ...] = Field(
        (),
        description="values of train.train_only; each is trained, and the one that is best on dev "
        "is kept",
    )
    seed: int = Field(13, ge=0, description="seed of splits, pools and tests")

    @model_validator(mode="after")
    def _mines_enough(self) -> "Recipe":
        trained = self.train.negatives
        mined = self.mine.negatives
        if trained > mined:
            raise ValueError(
                f"train.negatives is {trained}, but mining keeps {mined} a query: "
                "raise mine.negatives"
            )
        return self

    @property
    def generates_queries(self) -> bool:
        """Whether synthetic training queries are generated.

        Training on soft labels alone cannot use them: nobody labelled them.
        """
        return self.generate.passages > 0 and self.train.loss != "soft"

    def in_force(self) -> dict[str, Any]:
        """Every setting that is not null, with the learning rate and loss weights in force."""
        settings = self.model_dump(mode="json", exclude_none=True)
        settings["train"]["learning_rate"] = self.train.peak_learning_rate
        if self.moe.experts:
            settings["moe"]["balance_weight"] = self.moe.balance
            settings["moe"]["z_weight"] = self.moe.z
        return settings

    def trials(self) -> dict[str, tuple[TrainConfig, MoEConfig]]:
        """The trainings to compare, by what they train. Only those that train `moe` have experts.

        Raises ValidationError for a candidate that is no value of train.train_only.
        """
        if not self.candidates:
            return {self.train.train_only: (self.train, self.moe)}
        trainings = {}
        for train_only in self.candidates:
            settings = self.train.model_dump() | {"train_only": train_only}
            train = TrainConfig.model_validate(settings)
            experts = 0
            if "moe" in train_only.split("+"):
                experts = self.moe.experts or EXPERTS_OF_CANDIDATE
            moe = self.moe.model_copy(update={"experts": experts})
            trainings[train_only] = train, moe
        return trainings


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


def derive(
    collection: Collection,
    effort: Effort,
    overrides: Settings | None = None,
    *,
    labelled: int | None = None,
) -> Recipe:
    """The recipe for a collection: what `effort` and the data derive, under `overrides`.

    `overrides` are nested as in YAML. `labelled` is the number of training pairs before paraphrases
    were added, where that differs. Raises RecipeError with every key that is unknown, removed or
    out of range.
    """
    overrides = overrides or {}
    effort = overrides.get("effort", effort)
    if not isinstance(effort, str) or effort not in PAIRS_SEEN:
        message = f"got {effort!r}; expected {', '.join(PAIRS_SEEN)}"
        raise RecipeError([RecipeFault("effort", message)], KEYS)
    settings = merged(_derived_from_data(collection, effort, labelled), overrides)
    settings = _with_what_trains(settings, effort)
    settings = _with_seeds(settings)
    try:
        recipe = Recipe.model_validate(settings)
        recipe.trials()
    except ValidationError as error:
        raise recipe_error(error, KEYS) from error
    return recipe


def _derived_from_data(collection: Collection, effort: Effort, labelled: int | None) -> Settings:
    if not collection.passages:  # the data is not read yet
        return {"effort": effort}
    pairs = len(collection.pairs("train"))
    labelled_pairs = pairs if labelled is None else labelled
    is_synthetic = "train" in collection.synthetic
    train = {
        "epochs": _epochs(effort, pairs, labelled_pairs, is_synthetic),
        "batch_size": batch_size(pairs),
    }
    derived: Settings = {"effort": effort, "train": train}
    if labelled_pairs < SMALL_DATA_PAIRS:
        derived = merged(derived, FOR_SMALL_DATA)
    if not pairs or is_synthetic:
        derived = merged(derived, FOR_DOCUMENTS)
    if is_synthetic:
        derived = merged(derived, FOR_SYNTHETIC_QUERIES)
    if collection.name == PYDOC:
        derived = merged(derived, FOR_PYDOC)
    return derived


def _epochs(effort: Effort, pairs: int, labelled_pairs: int, is_synthetic: bool) -> int:
    epochs = round(PAIRS_SEEN[effort] / max(pairs, 1))
    is_read_twice = labelled_pairs <= MAX_PAIRS_READ_TWICE[effort] and not is_synthetic
    min_epochs = 2 if is_read_twice else 1
    return min(MAX_EPOCHS[effort], max(min_epochs, epochs))


def batch_size(pairs: int) -> int:
    """Queries per step: 32, or fewer on small data, so that an epoch has about eight steps.

    >>> batch_size(4000), batch_size(96), batch_size(30)
    (32, 12, 8)
    """
    return max(MIN_BATCH_SIZE, min(MAX_BATCH_SIZE, pairs // STEPS_PER_EPOCH))


def _with_what_trains(settings: Settings, effort: Effort) -> Settings:
    """Settings in which experts train where there are some, and thorough compares candidates."""
    if "train_only" in _part(settings, "train") or "candidates" in settings:
        return settings
    if _part(settings, "moe").get("experts"):
        return merged({"train": {"train_only": "moe"}}, settings)
    if effort == "thorough":
        return merged(settings, {"candidates": THOROUGH_CANDIDATES})
    return settings


def _with_seeds(settings: Settings) -> Settings:
    """Settings in which the one seed is that of each part without a seed of its own."""
    seed = settings.get("seed")
    if not isinstance(seed, int):
        return settings
    for part in SEEDED_PARTS:
        settings = merged({part: {"seed": seed}}, settings)
    return settings


def merged(below: Settings, above: Settings) -> Settings:
    """Nested settings, where those of `above` win.

    >>> merged({"train": {"epochs": 1}, "seed": 13}, {"train": {"loss": "clp"}, "seed": 4})
    {'train': {'epochs': 1, 'loss': 'clp'}, 'seed': 4}
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        result[key] = value
    return result


def _part(settings: Settings, name: str) -> Settings:
    part = settings.get(name)
    return part if isinstance(part, Mapping) else {}


def describe_recipe(recipe: Recipe, collection: Collection) -> str:
    """One line that says what is about to be done to what."""
    train = recipe.train
    sizes = [f"{len(collection.passages):,} passages"]
    for split in SPLIT_ORDER:
        queries = len(collection.positives(split))
        if queries:
            sizes.append(f"{queries:,} {split} queries")
    steps = [
        f"effort {recipe.effort}: {train.epochs} epoch(s)",
        f"batches of {train.batch_size}",
        f"{train.negatives} mined hard negative(s) a query",
        f"loss {train.loss}",
        f"λ {train.penalty_weight}",
        f"τ {train.temperature}",
    ]
    line = f"{collection.name}: {', '.join(sizes)}. {', '.join(steps)}"
    for remark in _remarks(recipe, collection):
        line += remark
    return line


def _remarks(recipe: Recipe, collection: Collection) -> Iterator[str]:
    """What a recipe does beyond the ordinary, each with the mark that joins it to the line."""
    pairs = len(collection.pairs("train"))
    is_small = pairs < SMALL_DATA_PAIRS
    if is_small and recipe.train.taught and recipe.guard.interpolate:
        yield (
            f"; small data ({pairs} of fewer than {SMALL_DATA_PAIRS} pairs): "
            "soft labels, weights interpolated with the base model"
        )
    unasked = _passages_without_query(collection)
    if recipe.generates_queries and unasked:
        passages = min(unasked, recipe.generate.passages)
        yield f", synthetic training queries for up to {passages:,} passages that have none"
    if recipe.refresh.off and recipe.train.negatives:
        yield ", no re-mining"
    if recipe.moe.experts:
        yield f", {recipe.moe.experts} experts a layer"
    if recipe.train.taught:
        teachers = ", ".join(recipe.teach.teachers)
        yield f", {recipe.teach.labels} labels of {teachers}"
    if recipe.guard.data != NO_GUARD:
        yield f", forgetting check on {recipe.guard.data}"


def _passages_without_query(collection: Collection) -> int:
    answering: set[str] = set()
    for split in collection.qrels:
        answering.update(collection.answering(split))
    return len(collection.passages) - len(answering)
