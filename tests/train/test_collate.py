"""Batches of ids become texts once each, and no known positive of a query is ever one of its negatives."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

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


@pytest.fixture(scope="module")
def model(tiny_model):
    return SentenceTransformer(str(tiny_model))


def row(pair):
    return {
        "query_id": pair.query_id,
        "positive_id": pair.positive_id,
        "negative_ids": list(pair.negative_ids),
    }


def collate(model, pairs, found=(), data=DATA):
    return PairCollator(model, data, KnownRelevance.of(data, found))([row(pair) for pair in pairs])


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
    assert batch["answers"].int().tolist() == [  # stars: q1 q1 q2 "bana"; q1 counts once
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_on_medquad_no_positive_is_a_negative_in_any_batch(medquad, model):
    data, pairs, _ = medquad
    rng = np.random.default_rng(0)
    ids = list(data.passages)
    truth = {}
    for split in data.qrels:
        for query, found in data.positives(split).items():
            truth.setdefault(query, set()).update(found)
    several = [pair for pair in pairs if len(truth[pair[0]]) > 1]
    assert len(several) > 100
    collator = PairCollator(model, data, KnownRelevance.of(data))
    for start in range(
        0, min(len(several), 1600), 32
    ):  # in order, so that a query's positives come together
        batch = [Pair(q, p, (str(rng.choice(ids)),)) for q, p in several[start : start + 32]]
        passages = list(
            dict.fromkeys(p for pair in batch for p in (pair.positive_id, *pair.negative_ids))
        )
        negative = collator._relations(batch, passages, [])["negative"]
        for pair, pushed in zip(batch, negative.tolist(), strict=True):
            assert truth[pair.query_id].isdisjoint(
                p for p, away in zip(passages, pushed, strict=True) if away
            )


def test_likely_positives_are_no_negatives_and_no_positives(model):
    """But a negative that was mined or given for the query stays one."""
    pairs = [Pair("q1", "a"), Pair("q2", "c"), Pair("q3", "title")]

    def negatives(likely, pairs=pairs):
        batch = PairCollator(model, DATA, KnownRelevance.of(DATA, likely=likely))(
            [row(pair) for pair in pairs]
        )
        return batch["label"]["negative"].tolist(), batch["label"]["answers"].tolist()

    plain, answers = negatives({})
    assert plain == [[False, True, True], [True, False, True], [True, True, False]]
    assert negatives({"q1": ["c"]}) == ([[False, False, True], *plain[1:]], answers)
    mined = [Pair("q1", "a", ("c",)), *pairs[1:]]
    assert negatives({"q1": ["c"]}, mined)[0] == plain
