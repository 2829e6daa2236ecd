"""Batches of ids become texts once each; no known positive of a query is one of its negatives."""

import numpy as np
import pytest
import torch

from whet.data.read import read
from whet.data.split import with_splits
from whet.encoder.tokens import tokenise
from whet.records import Collection, Passage, PositiveQuery
from whet.train.collate import KnownRelevance, Pair, PairCollator

DATA = Collection(
    "made",
    {p: Passage(p, f"bade {p}") for p in "abcde"}
    | {"copy": Passage("copy", "bade a"), "title": Passage("title", "x", "T")},
    {"q1": "bago", "q2": "balu", "q3": "bame", "again": "bago"},
    {
        "train": {"q1": {"a": 1, "b": 2, "c": 0}, "q2": {"c": 1}, "again": {"d": 1}},
        "test": {"q2": {"e": 1}, "q3": {"title": 1}},
    },
)


def row(pair):
    return {
        "query_id": pair.query_id,
        "positive_id": pair.positive_id,
        "negative_ids": list(pair.negative_ids),
    }


def collate(model, pairs, positive_queries=()):
    known = KnownRelevance.of(DATA, positive_queries)
    return PairCollator(model, DATA, known)([row(pair) for pair in pairs])


def test_knowledge_reaches_over_splits_equal_queries_and_copies_of_passages():
    known = KnownRelevance.of(DATA).positives
    assert known["q2"] == {"c", "e"}
    assert known["q1"] == known["again"] == {"a", "b", "d", "copy"}
    assert known["q3"] == {"title"}


def test_texts_come_once_with_titles_and_queries_before_positive_queries(model):
    pairs = [Pair("q1", "a", ("c", "title")), Pair("q2", "c", ("title",))]
    found = [PositiveQuery("title", "bana sula", "extractive"), PositiveQuery("c", "bana", "gold")]
    batch = collate(model, pairs, found)
    for column, texts, task in (
        ("query", ["bago", "balu", "bana", "bana sula"], "query"),
        ("passage", ["bade a", "bade c", "T x"], "document"),
    ):
        expected = tokenise(model, texts, task)
        assert torch.equal(batch[f"{column}_input_ids"], expected["input_ids"])
        assert {name for name in batch if name.startswith(column)} == {
            f"{column}_{name}" for name in expected
        }


def test_relations_by_hand(model):
    pairs = [Pair("q1", "a", ("c", "e")), Pair("q1", "b", ("copy",)), Pair("q2", "c")]
    batch = collate(model, pairs, [PositiveQuery("e", "bana", "extractive")])["label"]
    assert batch["positive"].tolist() == [0, 3, 1]  # passages: a c e b copy
    first = [False, True, True, False, False]  # q1: b is another positive, copy reads as a does
    assert batch["negative"].tolist() == [first, first, [True, False, False, True, True]]
    assert batch["answers"].int().tolist() == [  # queries: q1 q1 q2 "bana"; q1 counts once
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
    ]


@pytest.mark.slow
def test_on_medquad_no_positive_is_a_negative_in_any_batch(shared, model):
    data = with_splits(read(shared("medquad"))[0], seed=13)[0]
    truth = {}
    for split in data.qrels:
        for query, positives in data.positives(split).items():
            truth.setdefault(query, set()).update(positives)
    several = [pair for pair in data.pairs("train") if len(truth[pair[0]]) > 1][:1600]
    assert len(several) > 100
    rng = np.random.default_rng(0)
    ids = list(data.passages)
    collator = PairCollator(model, data, KnownRelevance.of(data))
    # In order, so that a query's positives come together.
    for start in range(0, len(several), 32):
        batch = [Pair(q, p, (str(rng.choice(ids)),)) for q, p in several[start : start + 32]]
        mined = [passage for pair in batch for passage in (pair.positive_id, *pair.negative_ids)]
        passages = list(dict.fromkeys(mined))
        negative = collator._relations(batch, passages, [])["negative"]
        for pair, row in zip(batch, negative.tolist(), strict=True):
            pushed = {p for p, is_pushed in zip(passages, row, strict=True) if is_pushed}
            assert truth[pair.query_id].isdisjoint(pushed)


def test_soft_labels_are_those_of_the_batchs_pairs(model):
    labels = {"q1": {"a": 0.9, "c": 0.2}, "q2": {"e": 0.5}}
    known = KnownRelevance.of(DATA, (), labels)
    rows = [row(Pair("q1", "a", ("c",))), row(Pair("q2", "e"))]
    found = PairCollator(model, DATA, known)(rows)["label"]["label"]
    none = float("nan")
    expected = torch.tensor([[0.9, 0.2, none], [none, none, 0.5]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_new_negatives_take_the_place_of_old_ones_and_bring_their_queries(model):
    collator = PairCollator(model, DATA, KnownRelevance.of(DATA))
    collator.refresh({"q1": ("e",)}, {"e": ["bana"]})
    batch = collator([row(Pair("q1", "a", ("c",))), row(Pair("q2", "c", ("a",)))])
    assert len(batch["passage_input_ids"]) == 3  # a e c
    assert batch["label"]["answers"].tolist() == [
        [True, False, False],  # q1
        [False, True, True],  # q2 by the qrels of another split, and "bana" of the new negative
        [False, True, False],  # q2
    ]
