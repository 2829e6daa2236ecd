"""Splits by group, on generated data.

Nothing that answers a held-out query is trained on, and nothing is lost.
"""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import whet
from whet.data.read import content_fingerprint
from whet.data.split import SplitSummary, _groups, folds, with_splits
from whet.errors import DataError
from whet.records import Collection, Passage


def collection(judged, query_texts=(), passage_texts=(), **parts):
    """Queries q0, q1… with the judgements `judged[i]` (passage number → grade).

    Texts differ unless they are given.
    """
    numbers = sorted({passage for row in judged for passage in row})
    texts = dict(enumerate(passage_texts))
    passages = {f"p{n}": Passage(f"p{n}", texts.get(n, f"passage {n}")) for n in numbers}
    queries = {f"q{n}": f"query {n}" for n in range(len(judged))}
    for n, text in enumerate(query_texts[: len(judged)]):
        queries[f"q{n}"] = text
    train = {}
    for n, row in enumerate(judged):
        train[f"q{n}"] = {f"p{passage}": grade for passage, grade in row.items()}
    return Collection("generated", passages, queries, {"train": train}, **parts)


JUDGED = st.lists(
    st.dictionaries(st.integers(0, 30), st.sampled_from([1, 1, 2, 0, -1]), min_size=1, max_size=2),
    min_size=8,
    max_size=60,
)


def key(text):
    return " ".join(text.lower().split())


def answering(data, split):
    """Texts of the passages that answer a split's queries, by an obvious loop."""
    return {
        key(data.passages[passage].text)
        for judged in data.qrels[split].values()
        for passage, grade in judged.items()
        if grade > 0
    }


@settings(max_examples=40, deadline=None)
@given(judged=JUDGED, seed=st.integers(0, 5), same=st.integers(1, 4))
def test_no_answer_of_a_held_out_query_is_trained_on(judged, seed, same):
    # Every `same`th query and passage has the text of another one, but for its case.
    queries = [f"query {n // same}".upper() if n % 2 else f"query  {n // same}" for n in range(60)]
    passages = [f"passage {n // same}" for n in range(31)]
    data = collection(judged, queries, passages)
    try:
        split, summary = with_splits(data, seed=seed, folded_below=0)
    except DataError:
        assume(False)
    train, dev, test = (answering(split, name) for name in ("train", "dev", "test"))
    assert train
    assert dev
    assert test
    assert not train & (dev | test)
    assert not dev & test
    query_texts = {}
    for name in ("train", "dev", "test"):
        query_texts[name] = {key(split.queries[query]) for query in split.positives(name)}
    assert not query_texts["train"] & (query_texts["dev"] | query_texts["test"])
    together = {}
    for part in split.qrels.values():
        together.update(part)
    assert together == data.qrels["train"]
    assert sum(map(len, split.qrels.values())) == len(data.qrels["train"])
    sizes = {name: len(split.positives(name)) for name in ("train", "dev", "test")}
    assert summary.queries == sizes
    assert summary.trained_positives == {"dev": 0, "test": 0}
    assert (summary.given, summary.made) == (("train",), ("test", "dev"))
    assert with_splits(data, seed=seed, folded_below=0) == (split, summary)


def groups_by_merging(data):
    """The groups of training queries by the slowest way: merge two until none share a text."""
    train = data.positives("train")
    groups = []
    for query, passages in train.items():
        texts = {("query", key(data.queries[query]))}
        texts |= {("passage", key(data.passages[passage].content)) for passage in passages}
        texts |= {("document", data.documents[p]) for p in passages if p in data.documents}
        groups.append(([query], texts))
    order = list(train)
    while True:
        pairs = itertools.combinations(range(len(groups)), 2)
        touching = [(i, j) for i, j in pairs if groups[i][1] & groups[j][1]]
        if not touching:
            merged = [sorted(queries, key=order.index) for queries, _ in groups]
            return sorted(merged, key=lambda group: order.index(group[0]))
        first, second = touching[0]
        queries, texts = groups.pop(second)
        groups[first] = (groups[first][0] + queries, groups[first][1] | texts)


@settings(max_examples=40, deadline=None)
@given(judged=JUDGED, same=st.integers(1, 3), files=st.integers(1, 40))
def test_groups_are_what_merging_by_hand_gives_in_reading_order(judged, same, files):
    queries = [f"query {n // same}" for n in range(60)]
    data = collection(judged, queries)
    documents = {
        passage: f"file {len(passage) * n % files}" for n, passage in enumerate(data.passages)
    }
    data = replace(data, documents=dict(list(documents.items())[::2]))
    assert _groups(data) == groups_by_merging(data)


@pytest.mark.parametrize(
    ("queries", "sizes"),
    [
        (3, (1, 1, 1)),
        (12, (6, 2, 4)),
        (100, (51, 16, 33)),
        (200, (125, 25, 50)),
        (2000, (1400, 200, 400)),
        (8000, (6500, 500, 1000)),
    ],
)
def test_sizes_of_independent_queries(queries, sizes):
    _, summary = with_splits(collection([{n: 1} for n in range(queries)]), folded_below=0)
    assert tuple(summary.queries.values()) == sizes
    assert (summary.groups, summary.largest_group) == (queries, 1)


@pytest.mark.parametrize(("queries", "dev"), [(3, 0), (100, 0), (199, 0), (200, 25)])
def test_few_training_queries_are_left_whole(queries, dev):
    split, summary = with_splits(collection([{n: 1} for n in range(queries)]))
    assert summary.queries["dev"] == len(split.qrels["dev"]) == dev
    assert summary.queries["train"] == queries - dev - summary.queries["test"]
    assert summary.made == (("test", "dev") if dev else ("test",))


@settings(max_examples=40, deadline=None)
@given(judged=JUDGED, seed=st.integers(0, 5), count=st.integers(2, 6))
def test_folds_hold_every_training_query_once_and_no_answer_twice(judged, seed, count):
    try:
        data = collection(judged)
        first = next(iter(data.passages))
        given = {first: ["query 3", "a question of its own"]}
        split, _ = with_splits(replace(data, positive_queries=given))
    except DataError:
        assume(False)
    parts = folds(split, seed, count)
    assert 2 <= len(parts) <= count
    held_out = [query for part in parts for query in part.positives("dev")]
    assert sorted(held_out) == sorted(split.positives("train"))
    for part in parts:
        assert part.qrels["test"] == split.qrels["test"]
        assert part.positives("train")
        assert part.positives("dev")
        assert not answering(part, "train") & answering(part, "dev")
        dev_texts = {key(part.queries[query]) for query in part.positives("dev")}
        for texts in part.positive_queries.values():
            assert dev_texts.isdisjoint(map(key, texts))
    assert folds(split, seed, count) == parts


def test_seed_decides():
    data = collection([{n: 1} for n in range(50)])
    first, second, again = (with_splits(data, seed=seed)[0].qrels for seed in (1, 2, 1))
    assert first == again
    assert first != second


def test_a_huge_group_is_trained_on():
    data = collection([{0: 1} for _ in range(60)] + [{n: 1} for n in range(1, 41)])
    split, summary = with_splits(data)
    assert summary.largest_group == 60
    assert "p0" in {passage for row in split.positives("train").values() for passage in row}
    assert summary.queries["test"] == 33


@pytest.mark.parametrize("seed", range(5))
def test_no_part_consists_of_one_large_group(seed):
    """Ten questions about one passage would fill a third, the test split, and test one passage."""
    split, summary = with_splits(
        collection([{0: 1} for _ in range(10)] + [{n: 1} for n in range(1, 21)]),
        seed=seed,
        folded_below=0,
    )
    assert summary.queries == {"train": 15, "dev": 5, "test": 10}
    assert len(answering(split, "test")) == 10
    assert "passage 0" in answering(split, "train")


def test_large_groups_only_are_still_split():
    split, summary = with_splits(collection([{n // 10: 1} for n in range(30)]), folded_below=0)
    assert summary.queries == {"train": 10, "dev": 10, "test": 10}
    assert not answering(split, "train") & (answering(split, "dev") | answering(split, "test"))


@pytest.mark.parametrize(
    ("judged", "kind"),
    [
        ([], "nothing-to-train-on"),
        ([{0: 0}, {1: -1}], "nothing-to-train-on"),
        ([{0: 1}], "too-little-data"),
        ([{0: 1}, {1: 1}], "too-little-data"),
        ([{0: 1, 1: 1}, {1: 1, 2: 1}, {2: 1, 3: 1}, {3: 1}], "too-little-data"),
    ],
)
def test_what_cannot_be_split(judged, kind):
    with pytest.raises(DataError) as caught:
        with_splits(collection(judged))
    assert [fault.kind for fault in caught.value.faults] == [kind]


class TestGivenSplits:
    def data(self):
        """Sixty training queries, of which two share their passage with a given test query."""
        data = collection([{n: 1} for n in range(60)])
        queries = dict(data.queries) | {"t0": "test zero", "t1": "test one"}
        passages = dict(data.passages) | {"t": Passage("t", "Passage  5")}
        qrels = dict(data.qrels) | {"test": {"t0": {"p7": 1, "p8": 0}, "t1": {"t": 1}}}
        return replace(data, queries=queries, passages=passages, qrels=qrels)

    def test_only_dev_is_made(self):
        data = self.data()
        split, summary = with_splits(data, folded_below=0)
        assert split.qrels["test"] == data.qrels["test"]
        assert (summary.given, summary.made) == (("train", "test"), ("dev",))
        assert not answering(split, "train") & answering(split, "dev")
        assert len(split.qrels["train"]) + len(split.qrels["dev"]) == 60
        assert summary.queries["dev"] == 10

    def test_training_positives_of_a_given_test_are_counted(self):
        given = self.data()
        data = replace(given, qrels=given.qrels | {"dev": {"q1": {"p1": 1}}})
        split, summary = with_splits(data)
        assert split == data
        assert summary.made == ()
        assert summary.trained_positives == {"dev": 1, "test": 2}

    def test_only_test_is_made_when_dev_is_given(self):
        data = self.data()
        given = {"train": data.qrels["train"], "dev": data.qrels["test"]}
        _, summary = with_splits(replace(data, qrels=given))
        assert summary.made == ("test",)
        assert summary.queries == {"train": 40, "dev": 2, "test": 20}


def test_queries_of_held_out_passages_are_not_handed_to_training():
    """CLP trains on `positive_queries`: what a dev or test passage answers must not be there."""
    data = collection([{n: 1} for n in range(40)])
    data = replace(
        data,
        positive_queries={f"p{n}": [f"asks for {n}", f"Query {(n + 1) % 40}"] for n in range(40)},
    )
    split, summary = with_splits(data)
    held_out = {query for name in ("dev", "test") for query in split.qrels[name]}
    kept = [(passage, text) for passage, texts in split.positive_queries.items() for text in texts]
    assert {passage.replace("p", "q") for passage, _ in kept} == set(split.qrels["train"])
    assert not {text.replace("Query ", "q") for _, text in kept} & held_out
    assert summary.positive_queries_dropped == 80 - len(kept) > 0


def test_queries_of_one_document_stay_together():
    names = [f"{document}#{n}" for document, n in itertools.product("abcdefgh", range(40))]
    passages = {name: Passage(name, f"text {name}") for name in names}
    documents = {name: name[0] for name in names}
    queries = {f"q{n}": f"query {name}" for n, name in enumerate(names)}
    train = {query: {passage: 1} for query, passage in zip(queries, passages, strict=True)}
    bare = Collection(
        "d",
        passages,
        queries,
        {"train": train},
        documents=documents,
        synthetic=frozenset({"train"}),
    )
    split, _ = with_splits(bare)
    documents_of = {}
    for name in split.qrels:
        documents_of[name] = {documents[passage] for passage in split.answering(name)}
        assert documents_of[name]
    for first, second in itertools.combinations(documents_of.values(), 2):
        assert first.isdisjoint(second)
    assert split.synthetic == {"train", "dev", "test"}


def test_the_split_does_not_depend_on_the_hash_seed(tmp_path):
    rows = [{"query": f"query {n // 2}", "positive": f"passage {n % 70}"} for n in range(120)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = (
        "import json, sys, whet; from whet.data.read import content_fingerprint\n"
        "data = whet.load(sys.argv[1]); print(content_fingerprint(data), json.dumps(data.qrels))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "pairs.jsonl")],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    data = whet.load(tmp_path / "pairs.jsonl")  # this process has another hash seed
    assert done.stdout == f"{content_fingerprint(data)} {json.dumps(data.qrels)}\n"
    assert len(done.stdout) > 1000


def test_a_summary_comes_back_from_its_json():
    _, summary = with_splits(collection([{n: 1} for n in range(60)]))
    stored = json.loads(json.dumps(summary.to_json() | {"qrels": {}}))
    assert stored["made"] == ["test"]
    assert SplitSummary.from_json(stored) == summary
