"""Collections and vectors for the tests of mining, without a model."""

import hashlib
from functools import cache

import numpy as np

from whet.mine.ance import mine_negatives
from whet.mine.config import MineConfig
from whet.mine.mined import write_mined
from whet.records import Collection, Passage
from whet.search.bm25 import terms

MAX_CHARACTERS = 400  # of a text that is turned into a vector


def hashed_vectors(texts, dim=64):
    """Unit vectors, alike for texts that share words: each word's random direction, summed."""
    vectors = np.zeros((len(texts), dim))
    for row, text in enumerate(texts):
        for term in terms(text[:MAX_CHARACTERS]):
            vectors[row] += direction(term, dim)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)


@cache
def direction(term, dim):
    seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim)


def vectors_of(collection):
    """Vectors of a collection's training queries and of its passages."""
    queries = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    return hashed_vectors(queries), hashed_vectors(passages)


def random_collection(seed, queries=5, passages=30):
    """Judgements over three splits, given negatives, and passages that share their text."""
    rng = np.random.default_rng(seed)

    def judge(names):
        judgements = {}
        for name in names:
            rows = rng.choice(passages, 4, replace=False)
            judgements[name] = {f"p{row}": int(rng.integers(-1, 3)) for row in rows}
        return judgements

    names = [f"q{number}" for number in range(queries)]
    texts = {name: f"query {number % 4}" for number, name in enumerate([*names, "t0", "t1"])}
    corpus = {}
    for number in range(passages):
        name = f"p{number}"
        corpus[name] = Passage(name, f"passage {number % 24}")
    return Collection(
        "random",
        corpus,
        texts,
        {"train": judge(names), "dev": judge(["t0"]), "test": judge(["t1", "q0"])},
        {"q1": ["p3", "p9"], "q2": [f"p{number}" for number in range(9)]},
    )


def mine_and_write(folder):
    """Mine with every search and every draw there is, and write the negatives."""
    data = random_collection(3, queries=12, passages=60)
    for strategy in ("mix", "random"):
        config = MineConfig(strategy=strategy, pick="sample", depth=25, relative_margin=None)
        mined, _ = mine_negatives(data, *vectors_of(data), config)
        write_mined(folder / f"{strategy}.jsonl", mined)


def one_query(*scores, texts=None):
    """A collection with one query, positive first, whose passages score exactly `scores`.

    Returns the collection, the query's vector and the passages' vectors.
    """
    texts = texts or [f"text {number}" for number in range(len(scores))]
    passages = {}
    for number, text in enumerate(texts):
        passages[f"p{number}"] = Passage(f"p{number}", text)
    collection = Collection("line", passages, {"q": "query"}, {"train": {"q": {"p0": 1}}})
    query_vectors = np.array([[1.0]], np.float32)
    return collection, query_vectors, np.array(scores, np.float32)[:, None]
