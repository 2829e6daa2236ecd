"""What may be wrong with data that can be read: columns, held-out sizes, duplicates, train-test leakage, truncation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from whet.data.faults import Faults
from whet.data.judgements import SPLIT_ORDER
from whet.data.near import NearIndex, Sketch, character_shingles, sketches, word_shingles
from whet.data.split import SMALL_TEST, same_text
from whet.errors import Fault
from whet.records import Collection

NEAR_QUERIES = 0.9  # overlap of runs of 4 characters
NEAR_PASSAGES = 0.8  # overlap of runs of 3 words
HELD_OUT_FIRST = (
    "test",
    "dev",
    "train",
)  # where not all can be compared: what leaks is held against train
MOST_COMPARED = 50_000
MOST_MEASURED = 2_000
SWAPPED = 3.0  # questions are shorter than what answers them; code and claims can be longer, but not by that much
SHOWN = 60
FEWEST = {"train": 10, "dev": 20, "test": SMALL_TEST}  # queries
SMALL = {
    "train": "so few can teach little",
    "dev": "so few tell little of which checkpoint, or whether the base model, is best",
    "test": "a verdict on so few can show only a large difference",
}
LEAK_CURE = "Delete them from train or from the held-out split; as it is, gains measured there may be memory."


@dataclass(frozen=True, slots=True)
class Near:
    """Two texts that overlap by `overlap` in [0, 1]: `id` in `split` (or anywhere: "") and `other` (in train)."""

    kind: Literal["query", "passage"]
    split: str
    id: str
    other: str
    overlap: float


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check counted and found; `faults` are those of reading and, as warnings, those of the check itself."""

    name: str
    passages: int
    queries: int
    splits: Mapping[str, Mapping[str, int]]
    faults: tuple[Fault, ...]
    duplicate_passages: int
    duplicate_queries: int
    near_duplicates: tuple[Near, ...]
    leaks: tuple[Near, ...]
    truncated: float | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Everything that a reader wants to see, a line each, without markup."""
        sizes = [
            f"{name}: {n['queries']} queries, {n['positives']} positives"
            for name, n in self.splits.items()
            if n["queries"]
        ]
        head = f"{self.name}: {self.passages} passages, {self.queries} queries"
        faults = [f"{fault.level}: {fault}" for fault in self.faults]
        return [
            head,
            *sizes,
            *(faults or ["nothing to complain about"]),
            *(f"note: {note}" for note in self.notes),
        ]


def check(
    collection: Collection,
    *,
    faults: Iterable[Fault] = (),
    token_lengths: Callable[[Sequence[str]], Sequence[int]] | None = None,
    max_length: int | None = None,
    seed: int = 13,
) -> CheckReport:
    """Look for what is probably wrong with a collection; `faults` are those found on reading it.

    `token_lengths` counts the tokens of texts and `max_length` is the model's limit in tokens; without them nothing is
    said of truncation. Large collections are compared in part, drawn with `seed`; the notes say so.
    """
    found, notes, rng = Faults(faults), [], np.random.default_rng(seed)
    _swapped(collection, found)
    _small(collection, found)
    same_passages = _duplicates(
        "passage", {p.id: p.content for p in collection.passages.values()}, collection, found
    )
    same_queries = _duplicates("query", collection.queries, collection, found)
    positives = {split: collection.answering(split) for split in SPLIT_ORDER}
    chosen = _drawn(
        {p: None for split in HELD_OUT_FIRST for p in positives[split]}, collection.passages, rng
    )
    if len(chosen) < len(collection.passages):
        notes.append(
            f"near-duplicates: {len(chosen)} of {len(collection.passages)} passages compared, those that answer test "
            "and dev queries first, then those of train"
        )
    if (asked := len(collection.positives("train"))) > MOST_COMPARED:
        notes.append(f"leaks: {MOST_COMPARED} of {asked} training queries compared")
    if unjudged := collection.queries.keys() - {
        query for split in collection.qrels.values() for query in split
    }:
        notes.append(
            f"{len(unjudged)} of {len(collection.queries)} queries are judged in no split, and not used"
        )
    texts = [word_shingles(collection.passages[passage].content) for passage in chosen]
    drawn = dict(zip(chosen, sketches(texts, seed=seed), strict=True))
    near = _near_duplicates(drawn, collection, found)
    leaks = _leaks("query", _query_sketches(collection, seed), NEAR_QUERIES, collection, found)
    if "train" not in collection.synthetic:  # queries that nobody asked give away no answer
        texts_of = {split: _of(drawn, positives[split]) for split in SPLIT_ORDER}
        leaks += _leaks("passage", texts_of, NEAR_PASSAGES, collection, found)
    truncated = None
    if token_lengths is not None and max_length is not None:
        truncated = _truncated(collection, token_lengths, max_length, rng, found, notes)
    return CheckReport(
        collection.name,
        len(collection.passages),
        len(collection.queries),
        {split: _size(collection, split) for split in collection.qrels},
        tuple(found),
        same_passages,
        same_queries,
        near,
        tuple(leaks),
        truncated,
        tuple(notes),
    )


def _swapped(collection: Collection, found: Faults) -> None:
    """Warn when queries are much longer than the passages that answer them."""
    queries = [len(text) for text in collection.queries.values()]
    positives = [passage for split in collection.qrels for passage in collection.answering(split)]
    passages = [len(collection.passages[passage].content) for passage in positives]
    if not queries or not passages:
        return
    query, passage = np.median(queries), np.median(passages)
    if query > SWAPPED * passage:
        what = f"queries have {query:.0f} characters (median), the passages that answer them only {passage:.0f}"
        found.warn(
            "swapped-columns",
            collection.name,
            what,
            "Look whether queries and passages are swapped.",
        )


def _small(collection: Collection, found: Faults) -> None:
    """Warn of splits with few queries; whet makes a split that is not there itself."""
    for split, fewest in FEWEST.items():
        if 0 < (queries := len(collection.positives(split))) < fewest:
            what = f"{queries} {split} queries, expected {fewest} or more: {SMALL[split]}"
            cure = (
                f"Label more queries, for {split} or at all: whet's own splits grow with the data."
            )
            found.warn(f"small-{split}", collection.name, what, cure)


def _duplicates(kind: str, texts: Mapping[str, str], collection: Collection, found: Faults) -> int:
    """Count the texts that were there before, but for case and white space, under another id."""
    first: dict[str, str] = {}
    seen = [(name, first.setdefault(same_text(text), name)) for name, text in texts.items()]
    again = [(name, earlier) for name, earlier in seen if name != earlier]
    if again:
        name, earlier = again[0]
        what = f"{len(again)} of {len(texts)} texts were there before, up to case and space: {kind} {name} is {earlier}"
        cure = "Merge them: only one of them is judged, so a right answer may count as wrong."
        found.warn(f"duplicate-{kind}", collection.name, what, cure)
    return len(again)


def _near_duplicates(
    drawn: Mapping[str, Sketch], collection: Collection, found: Faults
) -> tuple[Near, ...]:
    """Find passages that nearly repeat an earlier one; only those that repeat none are compared with later ones."""
    index: NearIndex[str] = NearIndex(NEAR_PASSAGES)
    near: list[Near] = []
    for passage, sketch in drawn.items():
        if (hit := index.nearest(sketch)) is None:
            index.add(passage, sketch)
        elif same_text(collection.passages[passage].content) != same_text(
            collection.passages[hit[0]].content
        ):
            near.append(Near("passage", "", passage, hit[0], round(hit[1], 4)))
    if near:
        what = f"{len(near)} of {len(drawn)} passages nearly repeat another, like {_pair(near[0], collection)}"
        cure = "Merge or judge them alike where they answer the same queries; else hard negatives among them mislead."
        found.warn("near-duplicate", collection.name, what, cure)
    return tuple(near)


def _leaks(
    kind: Literal["query", "passage"],
    drawn: Mapping[str, Mapping[str, Sketch]],
    threshold: float,
    collection: Collection,
    found: Faults,
) -> list[Near]:
    """Find held-out texts (split → id → sketch) that are nearly a text of train."""
    index: NearIndex[str] = NearIndex(threshold)
    for identifier, sketch in drawn["train"].items():
        index.add(identifier, sketch)
    leaks: list[Near] = []
    for split in ("dev", "test"):
        hits = [(identifier, index.nearest(sketch)) for identifier, sketch in drawn[split].items()]
        leaking = [
            Near(kind, split, identifier, hit[0], round(hit[1], 4))
            for identifier, hit in hits
            if hit
        ]
        if leaking:
            texts = "queries" if kind == "query" else "positives"
            alike = f"are nearly training {texts}, like {_pair(leaking[0], collection)}"
            what = f"{len(leaking)} of {len(hits)} {split} {texts} {alike}"
            found.warn(f"leaking-{kind}", collection.name, what, LEAK_CURE)
        leaks += leaking
    return leaks


def _truncated(
    collection: Collection,
    token_lengths: Callable[[Sequence[str]], Sequence[int]],
    max_length: int,
    rng: np.random.Generator,
    found: Faults,
    notes: list[str],
) -> float:
    """Return the share of passages, in [0, 1], that are longer than the model reads."""
    texts = [passage.content for passage in collection.passages.values()]
    if len(texts) > MOST_MEASURED:
        notes.append(f"truncation: {MOST_MEASURED} of {len(texts)} passages measured")
        texts = [
            texts[index] for index in np.sort(rng.choice(len(texts), MOST_MEASURED, replace=False))
        ]
    share = float(np.mean(np.asarray(token_lengths(texts)) > max_length)) if texts else 0.0
    if share > 0:
        what = f"{share:.1%} of the passages are longer than the {max_length} tokens that are read: their ends are lost"
        cure = "Cut them into shorter passages, or raise the maximum length if the model allows it."
        found.warn("truncated", collection.name, what, cure)
    return share


def _drawn(first: Iterable[str], rest: Iterable[str], rng: np.random.Generator) -> list[str]:
    """At most MOST_COMPARED ids: those of `first`, then others of `rest` at random, each part in its own order."""
    ahead = list(first)[:MOST_COMPARED]
    known = set(ahead)
    others = [identifier for identifier in rest if identifier not in known]
    room = min(MOST_COMPARED - len(ahead), len(others))
    return ahead + [
        others[index] for index in np.sort(rng.choice(len(others), room, replace=False))
    ]


def _query_sketches(collection: Collection, seed: int) -> dict[str, dict[str, Sketch]]:
    found = {}
    for split in SPLIT_ORDER:
        queries = list(collection.positives(split))[:MOST_COMPARED]
        texts = [character_shingles(collection.queries[query]) for query in queries]
        found[split] = dict(zip(queries, sketches(texts, seed=seed), strict=True))
    return found


def _of(drawn: Mapping[str, Sketch], passages: Iterable[str]) -> dict[str, Sketch]:
    return {passage: drawn[passage] for passage in passages if passage in drawn}


def _size(collection: Collection, split: str) -> dict[str, int]:
    positives = collection.positives(split)
    return {"queries": len(positives), "positives": sum(map(len, positives.values()))}


def _pair(near: Near, collection: Collection) -> str:
    """Show two near texts by id and beginning."""
    texts = [
        collection.queries[name] if near.kind == "query" else collection.passages[name].content
        for name in (near.id, near.other)
    ]
    (left, right) = [text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…" for text in texts]
    return f"{near.id} {left!r} and {near.other} {right!r} (overlap {near.overlap:.2f})"
