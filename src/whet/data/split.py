"""Splits by passage group, for data that brings no dev or test split of its own.

Queries belong to one group when they share a positive passage, or have positives of the same text or from the same
document, or have the same text themselves. A group goes whole to one split, so no passage that answers a dev or test
query is trained on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from whet.data.judgements import SPLIT_ORDER
from whet.errors import DataError, Fault
from whet.records import Collection, Judgements

TEST_SHARE, DEV_SHARE = 0.2, 0.1
LARGEST_TEST, LARGEST_DEV = 1000, 500
SMALL_TEST, SMALL_DEV = 50, 25  # below these, next to no difference can be shown
GROUPS_PER_PART = 5  # a part of one or two large groups would test one or two passages
FOLDED_BELOW = 150  # training queries that are too few to take a dev split from: training is cross-validated instead
FOLDS = 4
FOLD_SEED = 2


def with_splits(
    collection: Collection, *, seed: int = 13, folded_below: int = FOLDED_BELOW
) -> tuple[Collection, dict[str, Any]]:
    """Give a collection the dev and test splits that it lacks, taken from train by passage group.

    Splits that the data brings stay as they are. With fewer than `folded_below` queries beside the test no dev split is
    taken: `folds` serves instead. Queries that `positive_queries` gives to passages of dev and test, or that are
    dev or test queries themselves, are taken out, since CLP would train on them. Returns the collection and how its
    splits came about: which were given and made, the seed, groups, sizes, and how many positives of dev and test are
    trained on (none in splits made here). Raises DataError where there is nothing to train on or too little to split.
    """
    if not collection.positives("train"):
        cure = "Judge training queries, name their part train, or have `whet tune` write some for the passages."
        what = f"no train split with relevant passages{f', only {_named(collection)}' if _named(collection) else ''}"
        raise DataError([Fault("nothing-to-train-on", collection.name, what, cure)])
    given = [split for split in SPLIT_ORDER if collection.positives(split)]
    groups = _groups(collection)
    queries = sum(map(len, groups))
    goals = {"test": size_of_test(queries), "dev": size_of_dev(queries)}
    folded = "dev" not in given and queries - goals["test"] * ("test" not in given) < folded_below
    wanted = [
        split for split in ("test", "dev") if split not in given and not (folded and split == "dev")
    ]
    parts = _deal(groups, {split: goals[split] for split in wanted}, np.random.default_rng(seed))
    made = frozenset(wanted) if "train" in collection.synthetic else frozenset()
    moved = replace(
        collection, qrels=_move(collection.qrels, parts), synthetic=collection.synthetic | made
    )
    if not all(parts.values()) or (folded and len(_groups(moved)) < 2):
        what = f"{queries} queries in {len(groups)} independent group(s) are too few to hold out test and dev queries"
        if len(groups) == 1 and queries > 1:
            what = f"all {queries} queries hang together by answers that they share, so none can be held out as a test"
        raise DataError([_fault(collection, "too-little-data", what)])
    split = replace(moved, positive_queries=_queries_not_held_out(moved))
    return split, {
        "given": given,
        "made": wanted,
        "rule": "whole groups of queries that share a positive or a text" if wanted else "as given",
        "seed": seed,
        "groups": len(groups),
        "largest_group": max(map(len, groups)),
        "queries": {name: len(split.positives(name)) for name in SPLIT_ORDER},
        "trained_positives": {
            name: len(trained_positives(split, name)) for name in ("dev", "test")
        },
        "positive_queries_dropped": _texts(collection.positive_queries)
        - _texts(split.positive_queries),
    }


def folds(collection: Collection, seed: int, count: int = FOLDS) -> list[Collection]:
    """The collection `count` times, each with another part of its training queries as its dev split.

    Whole groups go to the part that has the fewest queries so far; with fewer groups than `count` there are as many
    parts as groups.
    """
    groups = _groups(collection)
    parts: list[list[str]] = [[] for _ in range(min(count, len(groups)))]
    for at in np.random.default_rng([seed, FOLD_SEED]).permutation(len(groups)).tolist():
        min(parts, key=len).extend(groups[at])
    train = list(collection.positives("train"))
    moved = []
    for part in parts:
        rest = [query for query in train if query not in set(part)]
        moved.append(
            replace(collection, qrels=_move(collection.qrels, {"dev": part, "train": rest}))
        )
    return [replace(fold, positive_queries=_queries_not_held_out(fold)) for fold in moved]


def size_of_test(queries: int) -> int:
    """How many of `queries` are held out for the test: a fifth, at least 50 or a third, at most 1000.

    >>> [size_of_test(queries) for queries in (3, 30, 200, 1000, 20000)]
    [1, 10, 50, 200, 1000]
    """
    return min(LARGEST_TEST, max(round(TEST_SHARE * queries), min(SMALL_TEST, queries // 3)))


def size_of_dev(queries: int) -> int:
    """How many of `queries` are held out for dev: a tenth, at least 25 or a sixth (never none), at most 500.

    >>> [size_of_dev(queries) for queries in (3, 30, 200, 1000, 20000)]
    [1, 5, 25, 100, 500]
    """
    return min(LARGEST_DEV, max(1, round(DEV_SHARE * queries), min(SMALL_DEV, queries // 6)))


def trained_positives(collection: Collection, split: str) -> list[str]:
    """Ids of the passages that answer a query of `split` and are, by their text, positives of a training query."""
    trained = {_content(collection, passage) for passage in collection.answering("train")}
    return [
        passage
        for passage in collection.answering(split)
        if _content(collection, passage) in trained
    ]


def same_text(text: str) -> str:
    """Return what texts that differ only in case and white space have in common.

    >>> same_text("What  is PDNGEN?") == same_text("what is pdngen? ")
    True
    """
    return " ".join(text.casefold().split())


def _groups(collection: Collection) -> list[list[str]]:
    """Group the training queries that hang together, in reading order."""
    train = collection.positives("train")
    ties = [(("id", query), ("query", same_text(collection.queries[query]))) for query in train]
    ties += [
        (("id", query), ("passage", _content(collection, p)))
        for query, found in train.items()
        for p in found
    ]
    home = collection.documents
    ties += [
        (("id", query), ("document", home[p]))
        for query, found in train.items()
        for p in found
        if p in home
    ]
    root = _unite(ties)
    groups: dict[tuple[str, str], list[str]] = {}
    for query in train:
        groups.setdefault(root["id", query], []).append(query)
    return list(groups.values())


def _unite(
    ties: Iterable[tuple[tuple[str, str], tuple[str, str]]],
) -> dict[tuple[str, str], tuple[str, str]]:
    """Find, for everything that is tied, one representative of all that hangs together with it (union-find)."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for left, right in ties:
        parent[find(right)] = find(left)
    return {node: find(node) for node in list(parent)}


def _deal(
    groups: Sequence[Sequence[str]], goals: Mapping[str, int], rng: np.random.Generator
) -> dict[str, list[str]]:
    """Deal whole groups in random order to the splits of `goals` while they have room; train keeps the rest.

    Groups so large that a split would consist of a few of them come last; a split left empty gets the smallest of all.
    """
    parts: dict[str, list[str]] = {split: [] for split in goals}
    large = max(1, min(goals.values(), default=0) // GROUPS_PER_PART)
    shuffled = [groups[index] for index in rng.permutation(len(groups))]
    kept: list[Sequence[str]] = []
    for group in sorted(shuffled, key=lambda group: max(large, len(group))):
        with_room = [split for split in goals if len(parts[split]) + len(group) <= goals[split]]
        if with_room:
            parts[with_room[0]].extend(group)
        else:
            kept.append(group)
    for part in parts.values():
        if not part and kept:
            part.extend(kept.pop(0))
    return parts | {"train": [query for group in kept for query in group]}


def _move(
    qrels: Mapping[str, Judgements], parts: Mapping[str, Sequence[str]]
) -> dict[str, Judgements]:
    """Move the queries of each part from train to it; everything stays in reading order."""
    home = {query: split for split, queries in parts.items() for query in queries}
    moved: dict[str, Judgements] = {split: {} for split in SPLIT_ORDER}
    for split in SPLIT_ORDER:
        for query, judged in qrels.get(split, {}).items():
            target = home.get(query, "train") if split == "train" else split
            moved[target].setdefault(query, {}).update(judged)
    return moved


def _queries_not_held_out(collection: Collection) -> dict[str, list[str]]:
    """Keep the given queries of passages that answer no dev or test query, if they are none themselves."""
    splits = ("dev", "test")
    passages = {
        _content(collection, passage) for split in splits for passage in collection.answering(split)
    }
    queries = {
        same_text(collection.queries[query])
        for split in splits
        for query in collection.positives(split)
    }
    kept = {
        passage: [text for text in texts if same_text(text) not in queries]
        for passage, texts in collection.positive_queries.items()
        if _content(collection, passage) not in passages
    }
    return {passage: texts for passage, texts in kept.items() if texts}


def _content(collection: Collection, passage: str) -> str:
    return same_text(collection.passages[passage].content)


def _named(collection: Collection) -> str:
    return ", ".join(split for split in collection.qrels if collection.positives(split))


def _texts(queries: Mapping[str, Sequence[str]]) -> int:
    return sum(map(len, queries.values()))


def _fault(collection: Collection, kind: str, message: str) -> Fault:
    cure = "Judge more queries that have passages of their own, or give dev and test splits."
    return Fault(kind, collection.name, message, cure)
