"""Looks for probable mistakes in data that can be read.

These are swapped columns, small splits, duplicates, leakage from test or dev to train, and
passages that are longer than the model reads.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from whet.data.check_report import CheckReport, NearTexts, SplitSize, TextKind
from whet.data.faults import Faults
from whet.data.judgements import SPLIT_ORDER
from whet.data.near import NearIndex, Sketch, character_shingles, sketches, word_shingles
from whet.data.split import HELD_OUT_SPLITS, SMALL_TEST, same_text
from whet.errors import Fault
from whet.records import Collection

TokenLengths: TypeAlias = Callable[[Sequence[str]], Sequence[int]]

NEAR_QUERY_OVERLAP = 0.9  # of runs of 4 characters, as Jaccard index
NEAR_PASSAGE_OVERLAP = 0.8  # of runs of 3 words, as Jaccard index
MAX_COMPARED = 50_000  # texts; 16,337 passages and their queries (medquad) take 8 s on one core
MAX_MEASURED = 2_000  # passages; the share's standard error is then at most 0.011
SHOWN_CHARACTERS = 60

COMPARED_FIRST = ("test", "dev", "train")
"""If not all passages can be compared, held-out answers come first: leaks are found from them."""

SWAPPED_RATIO = 3.0
"""Queries are shorter than their answers; code and claims can be longer, but not by this much."""

MIN_QUERIES = {"train": 10, "dev": 20, "test": SMALL_TEST}
WHY_MIN_QUERIES = {
    "train": "so few can teach little",
    "dev": "so few say little about which checkpoint, or whether the base model, is best",
    "test": "so few can show only a large difference",
}
LEAK_CURE = (
    "Delete them from train or from the held-out split; "
    "as it is, gains measured there may be memory."
)


def check(
    collection: Collection,
    *,
    faults: Iterable[Fault] = (),
    token_lengths: TokenLengths | None = None,
    max_length: int | None = None,
    seed: int = 13,
) -> CheckReport:
    """Look for probable mistakes in a collection; `faults` are those of reading it.

    `token_lengths` counts the tokens of texts, and `max_length` is the model's limit in tokens.
    Without them truncation is not measured. Of large collections only a part is compared, drawn
    with `seed`; the notes say so.
    """
    checks = _Checks(
        collection=collection,
        faults=Faults(faults),
        notes=[],
        rng=np.random.default_rng(seed),
        seed=seed,
    )
    checks.warn_of_swapped_columns()
    checks.warn_of_small_splits()
    contents = {passage.id: passage.content for passage in collection.passages.values()}
    duplicate_passages = checks.count_duplicates("passage", contents)
    duplicate_queries = checks.count_duplicates("query", collection.queries)
    passage_sketches = checks.passage_sketches()
    checks.note_what_is_left_out()
    near_duplicates = checks.near_duplicates(passage_sketches)
    leaks = checks.leaking_queries()
    leaks += checks.leaking_passages(passage_sketches)
    truncated = None
    if token_lengths is not None and max_length is not None:
        truncated = checks.truncated_share(token_lengths, max_length)
    return CheckReport(
        name=collection.name,
        passages=len(collection.passages),
        queries=len(collection.queries),
        splits={split: _size_of(collection, split) for split in collection.qrels},
        faults=tuple(checks.faults),
        duplicate_passages=duplicate_passages,
        duplicate_queries=duplicate_queries,
        near_duplicates=tuple(near_duplicates),
        leaks=tuple(leaks),
        truncated=truncated,
        notes=tuple(checks.notes),
    )


@dataclass(slots=True)
class _Checks:
    """The single checks of one collection; they add to `faults` and `notes`."""

    collection: Collection
    faults: Faults
    notes: list[str]
    rng: np.random.Generator
    seed: int

    def warn_of_swapped_columns(self) -> None:
        """Warn when queries are much longer than the passages that answer them."""
        collection = self.collection
        query_lengths = [len(text) for text in collection.queries.values()]
        passage_lengths: list[int] = []
        for split in collection.qrels:
            answers = collection.answering(split)
            passage_lengths += [len(collection.passages[passage].content) for passage in answers]
        if not query_lengths or not passage_lengths:
            return
        # Medians: a few long passages must not hide that the columns are swapped.
        query_length = np.median(query_lengths)
        passage_length = np.median(passage_lengths)
        if query_length > SWAPPED_RATIO * passage_length:
            message = (
                f"queries have {query_length:.0f} characters (median), "
                f"the passages that answer them only {passage_length:.0f}"
            )
            self._warn(
                "swapped-columns",
                message,
                "Check whether queries and passages are swapped.",
            )

    def warn_of_small_splits(self) -> None:
        """Warn of splits with few queries; an empty split is made by whet itself."""
        for split, min_queries in MIN_QUERIES.items():
            count = len(self.collection.positives(split))
            if 0 < count < min_queries:
                expected = f"expected {min_queries} or more"
                cure = (
                    f"Judge more queries, for {split} or in all: "
                    "the splits that whet makes grow with the data."
                )
                self._warn(
                    f"small-{split}",
                    f"{count} {split} queries, {expected}: {WHY_MIN_QUERIES[split]}",
                    cure,
                )

    def count_duplicates(self, kind: TextKind, texts: Mapping[str, str]) -> int:
        """Count the texts (by id) that equal an earlier one but for case and white space."""
        first_id: dict[str, str] = {}
        duplicates = []
        for identifier, text in texts.items():
            earlier = first_id.setdefault(same_text(text), identifier)
            if earlier != identifier:
                duplicates.append((identifier, earlier))
        if duplicates:
            identifier, earlier = duplicates[0]
            message = (
                f"{len(duplicates)} of {len(texts)} texts repeat another, up to case and space: "
                f"{kind} {identifier} is {earlier}"
            )
            self._warn(
                f"duplicate-{kind}",
                message,
                "Merge them: only one of them is judged, so a right answer may count as wrong.",
            )
        return len(duplicates)

    def passage_sketches(self) -> dict[str, Sketch]:
        """Sketches of at most MAX_COMPARED passages, by id; held-out answers come first."""
        collection = self.collection
        answers: dict[str, None] = {}
        for split in COMPARED_FIRST:
            answers.update(collection.answering(split))
        chosen = self._sample(list(answers), collection.passages)
        passage_count = len(collection.passages)
        if len(chosen) < passage_count:
            self.notes.append(
                f"near-duplicates: {len(chosen)} of {passage_count} passages compared, "
                "those that answer test and dev queries first, then those of train"
            )
        texts = [collection.passages[passage].content for passage in chosen]
        shingles = [word_shingles(text) for text in texts]
        return dict(zip(chosen, sketches(shingles, seed=self.seed), strict=True))

    def note_what_is_left_out(self) -> None:
        """Note training queries that are not compared, and queries that no split judges."""
        collection = self.collection
        train_count = len(collection.positives("train"))
        if train_count > MAX_COMPARED:
            self.notes.append(f"leaks: {MAX_COMPARED} of {train_count} training queries compared")
        unjudged = set(collection.queries)
        for judgements in collection.qrels.values():
            unjudged.difference_update(judgements)
        if unjudged:
            query_count = len(collection.queries)
            self.notes.append(
                f"{len(unjudged)} of {query_count} queries are judged in no split, and not used"
            )

    def near_duplicates(self, passage_sketches: Mapping[str, Sketch]) -> list[NearTexts]:
        """Find passages that nearly repeat an earlier one; exact duplicates are counted elsewhere.

        A passage that repeats another is not compared with later ones.
        """
        passages = self.collection.passages
        index: NearIndex[str] = NearIndex(NEAR_PASSAGE_OVERLAP)
        near: list[NearTexts] = []
        for passage, sketch in passage_sketches.items():
            nearest = index.nearest(sketch)
            if nearest is None:
                index.add(passage, sketch)
                continue
            other, overlap = nearest
            text = same_text(passages[passage].content)
            other_text = same_text(passages[other].content)
            if text != other_text:
                pair = NearTexts("passage", "", passage, other, round(overlap, 4))
                near.append(pair)
        if near:
            example = self._shown(near[0])
            compared = len(passage_sketches)
            cure = (
                "Merge them, or judge them alike where they answer the same queries; "
                "otherwise they mislead as hard negatives of each other's queries."
            )
            self._warn(
                "near-duplicate",
                f"{len(near)} of {compared} passages nearly repeat another, like {example}",
                cure,
            )
        return near

    def leaking_queries(self) -> list[NearTexts]:
        """Find dev and test queries that are nearly training queries."""
        by_split = {}
        for split in SPLIT_ORDER:
            queries = list(self.collection.positives(split))[:MAX_COMPARED]
            texts = [self.collection.queries[query] for query in queries]
            shingles = [character_shingles(text) for text in texts]
            query_sketches = sketches(shingles, seed=self.seed)
            by_split[split] = dict(zip(queries, query_sketches, strict=True))
        return self._leaks("query", by_split, NEAR_QUERY_OVERLAP)

    def leaking_passages(self, passage_sketches: Mapping[str, Sketch]) -> list[NearTexts]:
        """Find positives of dev and test that are nearly positives of training queries."""
        # Synthetic queries give away no answer to a real one.
        if "train" in self.collection.synthetic:
            return []
        by_split: dict[str, dict[str, Sketch]] = {}
        for split in SPLIT_ORDER:
            answers = self.collection.answering(split)
            compared = [passage for passage in answers if passage in passage_sketches]
            by_split[split] = {passage: passage_sketches[passage] for passage in compared}
        return self._leaks("passage", by_split, NEAR_PASSAGE_OVERLAP)

    def truncated_share(self, token_lengths: TokenLengths, max_length: int) -> float:
        """Return the share of passages, in [0, 1], that are longer than the model reads."""
        texts = [passage.content for passage in self.collection.passages.values()]
        if not texts:
            return 0.0
        if len(texts) > MAX_MEASURED:
            self.notes.append(f"truncation: {MAX_MEASURED} of {len(texts)} passages measured")
            sample = self.rng.choice(len(texts), MAX_MEASURED, replace=False)
            texts = [texts[index] for index in np.sort(sample)]
        lengths = np.asarray(token_lengths(texts))  # tokens of each text
        share = float(np.mean(lengths > max_length))
        if share > 0:
            message = (
                f"{share:.1%} of the passages are longer than the {max_length} tokens that are "
                "read: their ends are lost"
            )
            cure = (
                "Cut them into shorter passages, "
                "or raise the maximum length if the model allows it."
            )
            self._warn(
                "truncated",
                message,
                cure,
            )
        return share

    def _sample(self, first: list[str], rest: Iterable[str]) -> list[str]:
        """At most MAX_COMPARED ids: those of `first`, then a random part of `rest`, in order."""
        first = first[:MAX_COMPARED]
        known = set(first)
        others = [identifier for identifier in rest if identifier not in known]
        room = MAX_COMPARED - len(first)
        size = min(room, len(others))
        sample = self.rng.choice(len(others), size, replace=False)
        return first + [others[index] for index in np.sort(sample)]

    def _leaks(
        self,
        kind: TextKind,
        by_split: Mapping[str, Mapping[str, Sketch]],
        threshold: float,
    ) -> list[NearTexts]:
        """Find held-out texts (split → id → sketch) that are nearly a text of train."""
        index: NearIndex[str] = NearIndex(threshold)
        for identifier, sketch in by_split["train"].items():
            index.add(identifier, sketch)
        leaks: list[NearTexts] = []
        for split in HELD_OUT_SPLITS:
            leaks_of_split = []
            for identifier, sketch in by_split[split].items():
                nearest = index.nearest(sketch)
                if nearest is not None:
                    other, overlap = nearest
                    near = NearTexts(kind, split, identifier, other, round(overlap, 4))
                    leaks_of_split.append(near)
            if leaks_of_split:
                texts = "queries" if kind == "query" else "positives"
                compared = len(by_split[split])
                counts = f"{len(leaks_of_split)} of {compared} {split} {texts}"
                example = self._shown(leaks_of_split[0])
                self._warn(
                    f"leaking-{kind}",
                    f"{counts} are nearly training {texts}, like {example}",
                    LEAK_CURE,
                )
            leaks += leaks_of_split
        return leaks

    def _shown(self, near: NearTexts) -> str:
        """Two near texts by id and beginning."""
        shown = []
        for identifier in (near.id, near.other):
            if near.kind == "query":
                text = self.collection.queries[identifier]
            else:
                text = self.collection.passages[identifier].content
            if len(text) > SHOWN_CHARACTERS:
                text = f"{text[: SHOWN_CHARACTERS - 1]}…"
            shown.append(f"{identifier} {text!r}")
        return f"{' and '.join(shown)} (overlap {near.overlap:.2f})"

    def _warn(self, kind: str, message: str, cure: str) -> None:
        self.faults.warn(
            kind,
            self.collection.name,
            message,
            cure,
        )


def _size_of(collection: Collection, split: str) -> SplitSize:
    positives = collection.positives(split)
    positive_count = sum(map(len, positives.values()))
    return SplitSize(queries=len(positives), positives=positive_count)
