"""Two small models over four passages: they count four words, and weigh them differently."""

import re

import numpy as np
import pytest

from whet.evaluate.slices import query_rows
from whet.records import Collection, Passage
from whet.serve.ranks import ModelPair, SearchedModel

WORDS = ["cat", "dog", "fish", "bird"]
PASSAGES = {
    "p0": Passage("p0", "cat cat dog", "Cats & dogs"),
    "p1": Passage("p1", "dog fish"),
    "p2": Passage("p2", "<b>fish</b> bird"),
    "p3": Passage("p3", "bird cat"),
}
COLLECTION = Collection(
    "pets",
    PASSAGES,
    {"q0": "Which cat?", "q1": "which fish", "q2": "a <script>bird</script>"},
    {"train": {"q1": {"p1": 1}}, "test": {"q0": {"p3": 1, "p0": 2, "p1": 0}, "q2": {"p2": 1}}},
)


class WordCounts:
    """A small but real encoder: counts of four words times a weight each, as unit vectors."""

    def __init__(self, **weights):
        self.weights = np.array([weights.get(word, 1.0) for word in WORDS], np.float32)
        self.fingerprint = str(weights)

    def encode_queries(self, texts):
        counts = np.array([[len(re.findall(word, text)) for word in WORDS] for text in texts])
        weighted = counts * self.weights
        lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
        return (weighted / np.maximum(lengths, 1e-9)).astype(np.float32)

    encode_passages = encode_queries


@pytest.fixture(scope="session")
def searched():
    """Return a function that encodes passages: name, passages, weights → SearchedModel."""

    def build(name, passages, **weights):
        encoder = WordCounts(**weights)
        texts = [passage.text for passage in passages.values()]
        return SearchedModel(name, encoder, encoder.encode_passages(texts))

    return build


@pytest.fixture(scope="session")
def models(searched):
    """Both models over the four passages; the tuned one has a name that needs escaping."""
    base = searched("plain", PASSAGES)
    tuned = searched("sharp <1>", PASSAGES, cat=0.2, bird=3.0)
    before = {"q0": {"p1": 0.9, "p3": 0.8}, "q2": {"p0": 0.7, "p2": 0.6}}
    after = {"q0": {"p3": 0.9, "p1": 0.8}, "q2": {"p0": 0.7, "p2": 0.6}}
    qrels = COLLECTION.qrels["test"]
    rows = query_rows(COLLECTION.queries, PASSAGES, qrels, before, after)
    return ModelPair(COLLECTION, base, tuned, rows)
