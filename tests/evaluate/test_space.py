"""What an embedding space looks like.

Proved: anisotropy, alignment and uniformity are their formulas, by loops; areas are over all pairs
of queries and answers, an answer known from another split counts as one; and the same generator
state looks at the same texts.
"""

import json
import math
from itertools import combinations, product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from whet.evaluate import space
from whet.evaluate.space import Space, space_of, spread
from whet.records import Collection, Passage

RNG = np.random.default_rng(0)
QRELS = {
    "train": {"q0": {"p3": 1}},
    "test": {"q0": {"p0": 2, "p5": 0}, "q1": {"p1": 1, "p2": 1}, "q2": {"p3": 1}},
}
DATA = Collection(
    "x",
    {f"p{i}": Passage(f"p{i}", f"text {i}") for i in range(8)},
    {f"q{i}": f"query {i}" for i in range(3)},
    QRELS,
)
QUERIES = RNG.normal(size=(3, 4)).astype(np.float32)
PASSAGES = RNG.normal(1, 1, (8, 4)).astype(np.float32)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_formulas():
    measured = space_of(QUERIES, PASSAGES, DATA, "test", np.random.default_rng(0))
    cosines = [cosine(a, b) for a, b in combinations(PASSAGES, 2)]
    assert measured.anisotropy == pytest.approx(np.mean(cosines), abs=1e-5)
    potentials = [math.exp(-2 * (2 - 2 * c)) for c in cosines]
    assert measured.uniformity == pytest.approx(math.log(np.mean(potentials)), abs=1e-5)
    positive = {(0, 0), (0, 3), (1, 1), (1, 2), (2, 3)}
    distances = [2 - 2 * cosine(QUERIES[q], PASSAGES[p]) for q, p in positive]
    assert measured.alignment == pytest.approx(np.mean(distances), abs=1e-5)
    pairs = list(product(range(3), range(4)))
    values = [cosine(QUERIES[q], PASSAGES[p]) for q, p in pairs]
    expected = roc_auc_score([pair in positive for pair in pairs], values)
    assert measured.auc == pytest.approx(expected)


def test_a_sample_is_the_same_for_every_model(monkeypatch):
    monkeypatch.setattr(space, "MAX_SAMPLED_TEXTS", 3)
    first, again, other = (
        space_of(QUERIES, PASSAGES, DATA, "test", np.random.default_rng(seed)) for seed in (1, 1, 4)
    )
    assert first == again
    assert first != other


def test_small_spaces():
    assert spread(np.ones((1, 3), np.float32)) == (1.0, 0.0)
    only = Collection("x", {"p": Passage("p", "t")}, {"q": "u"}, {"test": {"q": {"p": 1}}})
    measured = space_of(QUERIES[:1], PASSAGES[:1], only, "test", np.random.default_rng(0))
    assert (measured.auc, measured.auprc) == (1.0, 1.0)


def test_a_space_survives_json():
    measured = space_of(QUERIES, PASSAGES, DATA, "test", np.random.default_rng(0))
    assert Space.from_json(json.loads(json.dumps(measured.to_json()))) == measured
