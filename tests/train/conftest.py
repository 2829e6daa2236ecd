"""What training tests share: a few texts of the tiny collection, and trainings on them."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from trainings import QUICK, train

from whet.data.read import read
from whet.data.split import with_splits
from whet.train.collate import KnownRelevance, Pair
from whet.train.dev import dev_set
from whet.train.trainer import TrainingData

TRAIN_QUERIES = 32  # 8 steps in two epochs of batches of 8
DEV_QUERIES = 12
PASSAGES = 90


@pytest.fixture(scope="module", autouse=True)
def _quick_trainer():
    """Leave out what takes half of a tiny training's time: model cards, garbage collection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentenceTransformer, "_create_model_card", lambda *_, **__: None)
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="session")
def collection(tiny_data):
    """Some queries and passages of the tiny collection."""
    whole = with_splits(read(tiny_data)[0], seed=13)[0]
    qrels = {
        "train": dict(list(whole.qrels["train"].items())[:TRAIN_QUERIES]),
        "dev": dict(list(whole.qrels["dev"].items())[:DEV_QUERIES]),
    }
    ids = [passage for judged in (qrels["train"] | qrels["dev"]).values() for passage in judged]
    ids = list(dict.fromkeys([*ids, *whole.passages]))[:PASSAGES]
    passages = {passage: whole.passages[passage] for passage in whole.passages if passage in ids}
    return replace(whole, passages=passages, qrels=qrels)


@pytest.fixture(scope="session")
def training_data(collection):
    pairs = [Pair(query, passage) for query, passage in collection.pairs("train")]
    return TrainingData(collection, pairs, KnownRelevance.of(collection))


@pytest.fixture(scope="session")
def dev(collection):
    return dev_set(collection, {}, np.random.default_rng(0), budget=10**6)


@pytest.fixture
def model(tiny_model):
    return SentenceTransformer(str(tiny_model))


@pytest.fixture(scope="session")
def start(tiny_model, training_data, dev):
    """Train a fresh model in a folder; returns what was done, and the model."""

    def run(folder, config=QUICK, **options):
        model = SentenceTransformer(str(tiny_model))
        return train(model, training_data, dev, folder, config, **options), model

    return run
