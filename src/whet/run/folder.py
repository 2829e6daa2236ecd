"""A run: its folder, its data, its recipe, and the base model that it starts from.

Opening and reading a run does nothing else: no property here trains, writes, locks or pays. What
a stage has not written yet cannot be read: `ArtifactError` names it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.data.audit_marks import with_marks
from whet.data.read import content_fingerprint
from whet.data.split import SplitSummary, with_splits
from whet.errors import Fault
from whet.generate.paraphrases import read_paraphrases, with_paraphrases
from whet.generate.spending import Confirm, refuse
from whet.generate.synthetic_queries import read_synthetic_queries, with_synthetic_train_split
from whet.models import load_model, reading, stored_encoder
from whet.records import Collection, SyntheticQuery
from whet.run.recipe import Recipe, derive
from whet.run.settings import RunSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from whet.encoder import StoredEncoder


@dataclass(frozen=True)
class Run:
    """A run folder and what it is made from.

    `source` is the data as it was read, before splits and synthetic queries; `faults` are its
    warnings. `confirm` is asked before a language model's server is paid.
    """

    path: Path
    source: Collection
    faults: tuple[Fault, ...]
    settings: RunSettings
    confirm: Confirm = refuse

    @property
    def replies(self) -> Path:
        """The file that keeps every reply of a language model, so that none is paid for twice."""
        return self.path / "replies.sqlite"

    # ---- models

    @property
    def base(self) -> str:
        """Name of the base model: a folder or hub id."""
        return self.settings.model

    @property
    def force(self) -> bool:
        """Whether the trained model is kept even if dev shows no gain."""
        return self.settings.force

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The result: a SentenceTransformer loaded from `RUN/model`."""
        return load_model(str(self.path / "model"))

    @cached_property
    def base_model(self) -> "SentenceTransformer":
        """The model that the run starts from; training never touches this copy."""
        return self.fresh_model()

    def fresh_model(self) -> "SentenceTransformer":
        """Load the base model once more; it reads as many tokens of a text as the recipe says."""
        return reading(load_model(self.base), self.draft.max_length)

    @cached_property
    def base_encoder(self) -> "StoredEncoder":
        """The base model's vectors, computed once for mining, dev and test."""
        return stored_encoder(self.base_model, self.path, self.draft.max_length)

    # ---- data and recipe, in the order in which they come about

    @cached_property
    def draft(self) -> Recipe:
        """The recipe for the data as it was read."""
        return self._derive(self.source)

    @property
    def lacks_queries(self) -> bool:
        """Whether the data has no training queries, so that all of them are to be generated."""
        return not self.source.positives("train") and self.draft.generate.passages > 0

    @cached_property
    def _splits(self) -> tuple[Collection, SplitSummary]:
        collection = self.source
        if self.lacks_queries:
            generated = read_synthetic_queries(self.path / "queries")
            collection = with_synthetic_train_split(collection, generated)
        return with_splits(collection, seed=self.draft.seed)

    @property
    def split(self) -> SplitSummary:
        """How the splits came about."""
        return self._splits[1]

    @cached_property
    def labelled(self) -> Collection:
        """The data with its splits and the marks of an audit, before paraphrases."""
        collection = self._splits[0]
        if self.settings.labels is not None:
            collection = with_marks(collection, Path(self.settings.labels))
        return collection

    @cached_property
    def recipe_before_paraphrases(self) -> Recipe:
        """The recipe for the labelled data. It decides whether synthetic queries are added."""
        return self._derive(self.labelled)

    @property
    def known_recipe(self) -> Recipe:
        """The recipe as far as it is known before any stage is built."""
        return self.draft if self.lacks_queries else self.recipe_before_paraphrases

    @property
    def adds_queries(self) -> bool:
        """Whether synthetic training queries are added to real ones."""
        is_real = "train" not in self.labelled.synthetic
        return is_real and self.recipe_before_paraphrases.generates_queries

    @cached_property
    def collection(self) -> Collection:
        """The data as every stage from `check` on uses it."""
        if not self.draft.generate.paraphrases:
            return self.labelled
        return with_paraphrases(self.labelled, read_paraphrases(self.path / "paraphrases"))

    @cached_property
    def recipe(self) -> Recipe:
        """All settings, resolved for this data."""
        labelled_pairs = len(self.labelled.pairs("train"))
        return self._derive(self.collection, labelled_pairs)

    def _derive(self, collection: Collection, labelled_pairs: int | None = None) -> Recipe:
        settings = self.settings
        return derive(collection, settings.effort, settings.overrides, labelled=labelled_pairs)

    @cached_property
    def synthetic_queries(self) -> list[SyntheticQuery]:
        """The synthetic queries that are added to the real ones."""
        if not self.adds_queries:
            return []
        return read_synthetic_queries(self.path / "queries")

    @property
    def built_synthetic_queries(self) -> list[SyntheticQuery]:
        """The same for a finished run; a run of an earlier version may have none."""
        return self.synthetic_queries if (self.path / "queries").exists() else []

    @cached_property
    def training_collection(self) -> Collection:
        """The collection with the added synthetic queries in its train split."""
        return self.collection.augmented(self.synthetic_queries)

    @cached_property
    def passages(self) -> dict[str, str]:
        """Passage id → text as it is encoded."""
        return {passage.id: passage.content for passage in self.collection.passages.values()}

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Fingerprints that every stage from `check` on depends on."""
        return {
            "data": content_fingerprint(self.collection),
            "model": self.base_encoder.fingerprint,
        }

    # ---- results

    @property
    def result(self) -> dict[str, Any]:
        """The object that `tune --json` prints."""
        from whet.run.results import summary_of

        return summary_of(self.path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict and the table, once there is one."""
        from whet.run.notebook import run_as_html

        return run_as_html(self.path)
