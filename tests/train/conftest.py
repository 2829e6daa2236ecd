"""What training tests share: the tiny collection with its splits, as material for `train`."""

from pathlib import Path

import numpy as np
import pytest

from whet.data.read import read
from whet.data.split import with_splits
from whet.run import training_pairs
from whet.train.collate import Knowledge, Pair
from whet.train.dev import dev_set
from whet.train.trainer import Material

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def collection(tiny_data):
    return with_splits(read(tiny_data)[0], seed=13)[0]


@pytest.fixture(scope="session")
def material(collection):
    pairs = [Pair(query, passage) for query, passage in training_pairs(collection)]
    near = np.random.default_rng(0).integers(0, len(pairs), (len(pairs), 8), dtype=np.int32)
    return Material(collection, pairs, Knowledge.of(collection), near)


@pytest.fixture(scope="session")
def dev(collection):
    return dev_set(collection, {}, np.random.default_rng(0), budget=10**6)


@pytest.fixture(scope="session")
def medquad():
    """The whole of medquad: its collection, training pairs, and every query's known positives."""
    if not (SHARED / "medquad").is_dir():
        pytest.skip(f"{SHARED / 'medquad'} is not on this machine")
    collection = with_splits(read(SHARED / "medquad")[0], seed=13)[0]
    return collection, training_pairs(collection), Knowledge.of(collection).positives
