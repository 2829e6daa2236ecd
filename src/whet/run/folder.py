"""A run: its folder, its data, its recipe, and the base model that it starts from."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from whet.artifacts import LOCK, MANIFEST, VECTORS, locked, peak_memory_mb, read_json, write_json
from whet.data.audit_marks import with_marks
from whet.data.cut import Cutter
from whet.data.read import content_fingerprint, read
from whet.data.split import with_splits
from whet.data.test_queries import with_test_queries
from whet.errors import ArtifactError, ConfigError, Fault, raise_errors
from whet.generate.config import GenerateConfig
from whet.models import load_model, reading, stored_encoder
from whet.progress import say
from whet.records import Collection
from whet.run.recipe import Effort, Recipe, derive, with_full_paths, describe_recipe
from whet.train.config import NO_GUARD, PYDOC

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from whet.encoder.packed import StoredEncoder

STAGES = ("check", "mine", "generate", "teach", "train", "evaluate", "report", "model")
RECIPE = "recipe.json"
# What a run holds before its recipe, when it was stopped while queries were written for it.
BEGUN = re.compile(
    rf"({re.escape(LOCK)}|{VECTORS}|(queries|paraphrases)(\.partial)?|replies\.sqlite.*)$"
)
NO_DATA = Collection("", {}, {}, {})


@dataclass(frozen=True)
class Run:
    """A run folder and what it is made from."""

    path: Path
    collection: Collection
    split: Mapping[str, Any]
    faults: tuple[Fault, ...]
    base: str
    recipe: Recipe
    force: bool = False
    yes: bool = False

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The result: a SentenceTransformer loaded from `RUN/model`."""
        return load_model(str(self.path / "model"))

    @cached_property
    def base_model(self) -> "SentenceTransformer":
        """The model that the run starts from; training never touches this copy."""
        return self.fresh_model()

    def fresh_model(self) -> "SentenceTransformer":
        """Load the base model once more, reading as many tokens of a text as the recipe says."""
        return reading(load_model(self.base), self.recipe.max_length)

    @cached_property
    def base_encoder(self) -> "StoredEncoder":
        """The base model's vectors, computed once for mining, dev and test."""
        return stored_encoder(self.base_model, self.path, self.recipe.max_length)

    @cached_property
    def passages(self) -> dict[str, str]:
        """Passage id → text as it is encoded."""
        return {passage.id: passage.content for passage in self.collection.passages.values()}

    @property
    def writes(self) -> bool:
        """Whether training queries are written beside those asked."""
        return self.recipe.writes and "train" not in self.collection.synthetic

    @cached_property
    def written(self) -> list[dict[str, str]]:
        """The queries that are written beside those asked; a stage of its own (`written_queries`), which locks."""
        if not self.writes:
            return []
        from whet.generate.training_queries import written_queries

        return written_queries(
            self.collection, self.path, self.base_encoder, self.recipe.generate, yes=self.yes
        )

    @cached_property
    def augmented(self) -> Collection:
        """The collection with what is written in its train split: what training learns from."""
        return self.collection.augmented(self.written)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Fingerprints that every stage depends on."""
        return {
            "data": content_fingerprint(self.collection),
            "model": self.base_encoder.fingerprint,
        }

    @property
    def result(self) -> dict[str, Any]:
        """The object that `tune --json` prints."""
        found: dict[str, Any] = read_json(self.path / "evaluate" / "result.json")
        seconds = {
            stage: seconds
            for stage in STAGES
            if (seconds := seconds_of(self.path / stage)) is not None
        }
        return found | {
            "seconds": seconds,
            "peak_memory_mb": peak_of(self.path, STAGES),
            "model": str(self.path / "model"),
        }


def open_run(
    data: str | Path | Collection,
    model: str,
    out: str | Path,
    *,
    effort: Effort = "standard",
    overrides: Mapping[str, Any] | None = None,
    force: bool = False,
    labels: Path | None = None,
    test_queries: Path | None = None,
    yes: bool = False,
    record: bool = True,
) -> Run:
    """Read the data, make what queries and splits it lacks, derive the recipe and write it to the run's folder.

    `labels` is a file of marks on audited pairs (`whet.data.audit_marks`), `test_queries` one of real queries for data
    that has none (`whet.data.test_queries`); `yes` agrees to what calls of a language model's server may cost. Without
    `record` the recipe in the folder stays as it is.
    """
    path, model, overrides = Path(out), source_of(model), with_full_paths(overrides or {})
    _check_place(path, data)
    base = cache(lambda: load_model(model))
    collection, faults = _read(data, base, derive(NO_DATA, effort, overrides))
    if test_queries is not None:
        collection = with_test_queries(collection, test_queries)
    draft = derive(collection, effort, overrides)
    _check_what_writing_needs(collection, draft, path)
    if not collection.positives("train") and draft.generate.passages:
        from whet.generate.training_queries import with_training_queries

        for fault in faults:
            say(f"[yellow]{escape(str(fault))}[/yellow]")
        encoder = stored_encoder(base(), path, draft.max_length)
        collection = with_training_queries(collection, path, encoder, draft.generate, yes=yes)
    collection, split = with_splits(collection, seed=draft.seed)
    if labels is not None:
        collection = with_marks(collection, labels)
    labelled = len(collection.pairs("train"))
    if draft.generate.paraphrases:
        from whet.generate.paraphrases import with_paraphrases

        encoder = stored_encoder(base(), path, draft.max_length)
        collection = with_paraphrases(collection, path, encoder, draft.generate, yes=yes)
    recipe = derive(collection, effort, overrides, labelled=labelled)
    source = None if isinstance(data, Collection) else source_of(data)
    written = {
        "data": source,
        "model": model,
        "force": force,
        "labels": str(labels.resolve()) if labels else None,
        "test_queries": str(test_queries.resolve()) if test_queries else None,
        "overrides": overrides,
        "effort": recipe.effort,
    }
    if record:
        _record(path, written | {"resolved": recipe.model_dump(mode="json")})
    say(f"{describe_recipe(recipe, collection)}; model {escape(model)}")
    return Run(path, collection, split, tuple(faults), model, recipe, force, yes)


def _check_what_writing_needs(collection: Collection, draft: Recipe, path: Path) -> None:
    """Raise, before a query is written or paid for, where the generator or the guard of the recipe cannot be used."""
    from whet.generate.named import OFFLINE, check_generator

    if draft.generate != GenerateConfig(passages=draft.generate.passages):
        check_generator(draft.generate)
    unasked = bool(draft.generate.passages) and not collection.positives("train")
    paid = draft.writes and draft.generate.generator != OFFLINE
    wanted = {"queries": unasked or paid, "paraphrases": draft.generate.paraphrases > 0}
    due = any(wanted[stage] and not (path / stage / MANIFEST).exists() for stage in wanted)
    if due and draft.guard.data not in (PYDOC, NO_GUARD):
        from whet.train.forgetting import forgetting_set

        forgetting_set(draft.guard)


def _check_place(path: Path, data: str | Path | Collection) -> None:
    """Raise ConfigError for a folder that holds something else than a run, the data most of all."""
    if (
        not isinstance(data, Collection)
        and Path(data).exists()
        and Path(data).resolve() == path.resolve()
    ):
        raise ConfigError(
            f"{path} is the data itself, and a run needs a folder of its own; give another --out"
        )
    ours = is_run(path) or (path / LOCK).exists()
    if path.is_dir() and not ours and not all(BEGUN.match(item.name) for item in path.iterdir()):
        raise ConfigError(f"{path} is not empty and not a run of whet; give another --out")


def _read(
    data: str | Path | Collection, base: Callable[[], "SentenceTransformer"], recipe: Recipe
) -> tuple[Collection, tuple[Fault, ...]]:
    """The data and its warnings, documents cut as the recipe says; raises DataError for what cannot be read."""
    if isinstance(data, Collection):
        return data, ()
    collection, faults = read(data, lambda: _cutter(base(), recipe))
    raise_errors(faults)
    return collection, faults


def _cutter(model: "SentenceTransformer", recipe: Recipe) -> Cutter:
    """How documents are cut for a model: by its own tokens, no longer than what it reads."""
    from whet.encoder.packed import token_lengths

    most = recipe.max_length or model.max_seq_length or recipe.passage_tokens
    return Cutter(lambda texts: token_lengths(model, texts), min(recipe.passage_tokens, most))


def _record(path: Path, recipe: Mapping[str, Any]) -> None:
    """Write a run's recipe; where it stands already nothing is locked, so that any number may read a finished run."""
    try:
        same = read_json(path / RECIPE) == recipe
    except ArtifactError:
        same = False
    if not same:
        with locked(path):
            write_json(path / RECIPE, recipe)


def is_run(path: Path) -> bool:
    """Whether a folder holds a run: a recipe that says from what it was made."""
    try:
        found = read_json(path / RECIPE)
    except ArtifactError:
        return False
    return isinstance(found, dict) and {"data", "model", "overrides"} <= found.keys()


def is_run_of(path: Path, data: str) -> bool:
    """Whether a folder holds a run that was made from this data."""
    return is_run(path) and bool(read_json(path / RECIPE)["data"] == source_of(data))


def source_of(data: str | Path) -> str:
    """How a run's recipe names data or a model: the full path, or the hub id."""
    return str(Path(data).resolve() if Path(data).exists() else data)


def reopen(
    path: Path,
    labels: Path | None = None,
    *,
    paraphrases: int = 0,
    yes: bool = False,
    record: bool = True,
) -> Run:
    """Open a run that exists, from the recipe in its folder; raises ConfigError when there is none.

    `labels` take the place of those that it was made with; `paraphrases` are asked for where it was made without a word
    on them.
    """
    if not is_run(path):
        raise ConfigError(
            f"{path} is not a run of whet: it has no {RECIPE} of one. Make one with: whet tune DATA --out {path}"
        )
    made = read_json(path / RECIPE)
    if made["data"] is None:
        raise ConfigError(
            f"{path} was made from data in memory, which whet.tune alone can go on with. Where commands are to know "
            "the run, give whet.tune the path of the data in place of what whet.load makes of it"
        )
    overrides = made["overrides"]
    if paraphrases:
        overrides |= {"generate": {"paraphrases": paraphrases} | overrides.get("generate", {})}
    return open_run(
        made["data"],
        made["model"],
        path,
        effort=made["effort"],
        overrides=overrides,
        force=made["force"],
        labels=labels or (Path(made["labels"]) if made.get("labels") else None),
        test_queries=Path(made["test_queries"]) if made.get("test_queries") else None,
        yes=yes,
        record=record,
    )


def seconds_of(folder: Path) -> float | None:
    """Seconds that a finished stage took, None where it is not there."""
    manifest = folder / MANIFEST
    return read_json(manifest).get("seconds") if manifest.exists() else None


def peak_of(path: Path, stages: Iterable[str]) -> int:
    """The most memory, in MB, that the processes held which made a run's stages; this one's where none is finished."""
    made = [
        read_json(path / stage / MANIFEST) for stage in stages if (path / stage / MANIFEST).exists()
    ]
    return max(
        (stage["peak_memory_mb"] for stage in made if "peak_memory_mb" in stage),
        default=peak_memory_mb(),
    )
