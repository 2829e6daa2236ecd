"""Splits by passage group, for data that brings no dev or test split of its own.

Queries belong to one group when they share a positive passage, when their positives have the same
text or are from the same document, or when they have the same text themselves. A group goes whole
to one split, so no passage that answers a dev or test query is trained on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np

from whet.data.judgements import SPLIT_ORDER
from whet.errors import DataError, Fault
from whet.records import Collection, Judgements

HELD_OUT_SPLITS = ("dev", "test")

TEST_SHARE = 0.2
DEV_SHARE = 0.1
MAX_TEST_QUERIES = 1000
MAX_DEV_QUERIES = 500
SMALL_TEST = 50
"""With fewer test queries only a large difference can be shown."""
SMALL_DEV = 25

MIN_GROUPS_PER_PART = 5
"""A part of one or two large groups would test one or two passages."""

FOLDED_BELOW = 150
"""With fewer training queries no dev split is taken: training is cross-validated instead."""
FOLDS = 4
FOLD_SEED = 2  # beside the run's seed, so that folds are not drawn as the splits were

Groups: TypeAlias = Sequence[Sequence[str]]
"""Ids of the queries of each group."""

Parts: TypeAlias = dict[str, list[str]]
"""Split → ids of its queries."""

BY_GROUP = "whole groups of queries that share a positive or a text"
AS_GIVEN = "as given"


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """How the splits of a collection came about.

    `given` and `made` name splits. `groups` counts the groups of the training queries as they were
    given, and `largest_group` the queries of the largest one. `queries` has the size of each split.
    `trained_positives` says how many positives of dev and test are trained on; none in splits that
    are made here. `positive_queries_dropped` counts texts that CLP would have trained on.
    """

    given: tuple[str, ...]
    made: tuple[str, ...]
    rule: str
    seed: int
    groups: int
    largest_group: int
    queries: Mapping[str, int]
    trained_positives: Mapping[str, int]
    positive_queries_dropped: int

    def to_json(self) -> dict[str, Any]:
        """Give the fields of `split.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SplitSummary":
        """Undo `to_json`; other keys, such as the judgements in `split.json`, are left out."""
        names = [field.name for field in fields(cls)]
        summary = {name: values[name] for name in names}
        for name in ("given", "made"):
            summary[name] = tuple(summary[name])
        return cls(**summary)


def with_splits(
    collection: Collection,
    *,
    seed: int = 13,
    folded_below: int = FOLDED_BELOW,
) -> tuple[Collection, SplitSummary]:
    """Give a collection the dev and test splits that it lacks, taken from train by passage group.

    Splits that the data brings stay as they are. If fewer than `folded_below` queries remain beside
    the test split, no dev split is taken: `folds` serves instead.

    CLP trains on `positive_queries`. Those of passages that answer dev and test queries, and those
    that are dev or test queries themselves, are taken out.

    Raises DataError where there is nothing to train on or too little to split.
    """
    given = tuple(split for split in SPLIT_ORDER if collection.positives(split))
    if "train" not in given:
        raise DataError([_nothing_to_train_on(collection, given)])
    groups = _groups(collection)
    query_count = sum(map(len, groups))
    goals = {}  # split to be made → queries
    remaining = query_count
    if "test" not in given:
        goals["test"] = size_of_test(query_count)
        remaining -= goals["test"]
    # With few queries each is worth more in training: folds of train serve as dev.
    is_folded = "dev" not in given and remaining < folded_below
    if "dev" not in given and not is_folded:
        goals["dev"] = size_of_dev(query_count)

    rng = np.random.default_rng(seed)
    parts = _deal(groups, goals, rng)
    moved = _moved(collection, parts)
    has_empty_part = not all(parts.values())
    has_one_fold = is_folded and len(_groups(moved)) < 2
    if has_empty_part or has_one_fold:
        raise DataError([_too_little_data(collection, groups)])
    if "train" in collection.synthetic:
        moved = replace(moved, synthetic=collection.synthetic.union(goals))
    # Splits that are given may overlap; the verdict has to say so.
    overlaps = {split: len(trained_positives(moved, split)) for split in HELD_OUT_SPLITS}
    count_before = _count_texts(collection.positive_queries)
    count_after = _count_texts(moved.positive_queries)
    summary = SplitSummary(
        given=given,
        made=tuple(goals),
        rule=BY_GROUP if goals else AS_GIVEN,
        seed=seed,
        groups=len(groups),
        largest_group=max(map(len, groups)),
        queries={split: len(moved.positives(split)) for split in SPLIT_ORDER},
        trained_positives=overlaps,
        positive_queries_dropped=count_before - count_after,
    )
    return moved, summary


def folds(collection: Collection, seed: int, count: int = FOLDS) -> list[Collection]:
    """The collection `count` times, each with another part of its training queries as dev split.

    Whole groups go, in random order, to the part that has the fewest queries so far. With fewer
    groups than `count` there are as many parts as groups.
    """
    groups = _groups(collection)
    part_count = min(count, len(groups))
    dev_splits: list[list[str]] = [[] for _ in range(part_count)]
    rng = np.random.default_rng([seed, FOLD_SEED])
    order = rng.permutation(len(groups))
    for group_index in order:
        group = groups[group_index]
        smallest = min(dev_splits, key=len)
        smallest.extend(group)
    return [_moved(collection, {"dev": queries}) for queries in dev_splits]


def size_of_test(queries: int) -> int:
    """How many of `queries` are held out for the test split.

    A fifth, but at least 50 or a third, and at most 1000.

    >>> [size_of_test(queries) for queries in (3, 30, 200, 1000, 20000)]
    [1, 10, 50, 200, 1000]
    """
    least = min(SMALL_TEST, queries // 3)
    size = max(round(TEST_SHARE * queries), least)
    return min(MAX_TEST_QUERIES, size)


def size_of_dev(queries: int) -> int:
    """How many of `queries` are held out for the dev split.

    A tenth, but at least 25 or a sixth, never none, and at most 500.

    >>> [size_of_dev(queries) for queries in (3, 30, 200, 1000, 20000)]
    [1, 5, 25, 100, 500]
    """
    least = min(SMALL_DEV, queries // 6)
    size = max(1, round(DEV_SHARE * queries), least)
    return min(MAX_DEV_QUERIES, size)


def trained_positives(collection: Collection, split: str) -> list[str]:
    """Ids of the passages that answer a query of `split` and are positives of a training query.

    Passages of the same text count as one.
    """
    trained = _answer_texts(collection, ("train",))
    answers = collection.answering(split)
    return [passage for passage in answers if _content(collection, passage) in trained]


def same_text(text: str) -> str:
    """Return what texts that differ only in case and white space have in common.

    >>> same_text("What  is PDNGEN?") == same_text("what is pdngen? ")
    True
    """
    return " ".join(text.casefold().split())


def _groups(collection: Collection) -> list[list[str]]:
    """The groups of the training queries, in reading order.

    They are the connected components of a graph. Its nodes are the queries and what they may share
    (see `_shared_by`); its edges join a query to each of these. For q0 and q1 with the same answer,
    and q2 with another:

        q0 — text of q0, text of a      nodes 0 — 3, 4
        q1 — text of q1, text of a      nodes 1 — 5, 4
        q2 — text of q2, text of b      nodes 2 — 6, 7      components {q0, q1}, {q2}
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    train = collection.positives("train")
    if not train:
        return []
    node_of: dict[tuple[str, str], int] = {}  # what queries share → its node
    node_count = len(train)  # the queries' nodes come first
    rows = []  # the query's node of each edge
    columns = []  # and the other one
    for query_node, query in enumerate(train):
        for shared in _shared_by(collection, query, train[query]):
            if shared not in node_of:
                node_of[shared] = node_count
                node_count += 1
            rows.append(query_node)
            columns.append(node_of[shared])
    weights = np.ones(len(rows))
    graph = coo_array((weights, (rows, columns)), shape=(node_count, node_count))
    _, components = connected_components(graph, directed=False)  # one number for each node

    groups: dict[int, list[str]] = {}
    for query, component in zip(train, components.tolist(), strict=False):
        group = groups.setdefault(component, [])
        group.append(query)
    return list(groups.values())


def _shared_by(
    collection: Collection,
    query: str,
    passages: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Yield what makes queries one group if they have it in common: (kind, text or name)."""
    yield "query", same_text(collection.queries[query])
    for passage in passages:
        yield "passage", _content(collection, passage)
        if passage in collection.documents:
            yield "document", collection.documents[passage]


def _deal(
    groups: Groups,
    goals: Mapping[str, int],
    rng: np.random.Generator,
) -> Parts:
    """Deal whole groups in random order to the splits of `goals` while they have room.

    Train gets the rest. Groups so large that a split would consist of a few of them come last. A
    split left empty gets the smallest group of the rest.
    """
    parts: Parts = {split: [] for split in goals}
    # For goals of 10 test and 5 dev queries, groups of more than one query are large.
    smallest_goal = min(goals.values(), default=0)
    large = max(1, smallest_goal // MIN_GROUPS_PER_PART)
    order = rng.permutation(len(groups))
    shuffled = [groups[index] for index in order]
    # Groups that are not large stay in random order: sorting is stable.
    shuffled.sort(key=lambda group: max(large, len(group)))
    rest: list[Sequence[str]] = []
    for group in shuffled:
        for split, queries in parts.items():
            new_size = len(queries) + len(group)
            if new_size <= goals[split]:
                queries.extend(group)
                break
        else:
            rest.append(group)
    for queries in parts.values():
        if not queries and rest:
            queries.extend(rest.pop(0))
    parts["train"] = []
    for group in rest:
        parts["train"].extend(group)
    return parts


def _moved(collection: Collection, parts: Parts) -> Collection:
    """Move the training queries of each part to its split, and hold its texts out of training.

    Training queries of no part stay, and everything stays in reading order.
    """
    new_split: dict[str, str] = {}  # query id → split
    for split, queries in parts.items():
        new_split.update(dict.fromkeys(queries, split))
    qrels: dict[str, Judgements] = {split: {} for split in SPLIT_ORDER}
    for split in SPLIT_ORDER:
        for query, judged in collection.qrels.get(split, {}).items():
            target = new_split.get(query, "train") if split == "train" else split
            known = qrels[target].setdefault(query, {})
            known.update(judged)
    moved = replace(collection, qrels=qrels)
    trainable = _trainable_positive_queries(moved)
    return replace(moved, positive_queries=trainable)


def _trainable_positive_queries(collection: Collection) -> dict[str, list[str]]:
    """The given positive queries without those of held-out passages and held-out queries."""
    held_out_answers = _answer_texts(collection, HELD_OUT_SPLITS)
    held_out_queries = set()
    for split in HELD_OUT_SPLITS:
        for query in collection.positives(split):
            text = collection.queries[query]
            held_out_queries.add(same_text(text))
    trainable = {}
    for passage, texts in collection.positive_queries.items():
        if _content(collection, passage) in held_out_answers:
            continue
        remaining = [text for text in texts if same_text(text) not in held_out_queries]
        if remaining:
            trainable[passage] = remaining
    return trainable


def _answer_texts(collection: Collection, splits: Sequence[str]) -> set[str]:
    """Texts of the passages that answer a query of these splits."""
    texts = set()
    for split in splits:
        for passage in collection.answering(split):
            texts.add(_content(collection, passage))
    return texts


def _content(collection: Collection, passage: str) -> str:
    return same_text(collection.passages[passage].content)


def _count_texts(queries: Mapping[str, Sequence[str]]) -> int:
    return sum(map(len, queries.values()))


def _nothing_to_train_on(collection: Collection, given: Sequence[str]) -> Fault:
    message = "no train split with relevant passages"
    if given:
        message += f", only {', '.join(given)}"
    cure = (
        "Judge training queries and name their part train, "
        "or let `whet tune` generate queries for the passages."
    )
    return Fault("nothing-to-train-on", collection.name, message, cure)


def _too_little_data(collection: Collection, groups: Groups) -> Fault:
    query_count = sum(map(len, groups))
    group_count = len(groups)
    message = (
        f"{query_count} queries in {group_count} independent group(s) are too few "
        "to hold out test and dev queries"
    )
    if group_count == 1 and query_count > 1:
        message = (
            f"all {query_count} queries are connected by answers that they share, "
            "so none can be held out as a test"
        )
    cure = "Judge more queries that have passages of their own, or give dev and test splits."
    return Fault("too-little-data", collection.name, message, cure)
