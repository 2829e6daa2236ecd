"""What training tests share: the tiny collection with its splits, as material for `train`, and trainings in rounds."""

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from whet.data.read import read
from whet.data.split import with_splits
from whet.encoder import PackedEncoder
from whet.mine.config import MineConfig
from whet.records import PositiveQuery
from whet.search.dense import top_k
from whet.train import trainer as trainer_module
from whet.train.collate import KnownRelevance, Pair
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator, dev_set
from whet.train.refresh import round_folder as round_module
from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.plan import RefreshPlan
from whet.train.trainer import TrainingData, train_model

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def collection(tiny_data):
    return with_splits(read(tiny_data)[0], seed=13)[0]


@pytest.fixture(scope="session")
def material(collection):
    pairs = [Pair(query, passage) for query, passage in collection.pairs("train")]
    return TrainingData(collection, pairs, KnownRelevance.of(collection))


@pytest.fixture(scope="session")
def dev(collection):
    return dev_set(collection, {}, np.random.default_rng(0), budget=10**6)


@pytest.fixture(scope="session")
def medquad():
    """The whole of medquad: its collection, training pairs, and every query's known positives."""
    if not (SHARED / "medquad").is_dir():
        pytest.skip(f"{SHARED / 'medquad'} is not on this machine")
    collection = with_splits(read(SHARED / "medquad")[0], seed=13)[0]
    return collection, collection.pairs("train"), KnownRelevance.of(collection).positives


CONFIG = TrainConfig(
    train_only="all", learning_rate=0.02, epochs=2, batch_size=32, evaluations=4, negatives=2
)
MINE = MineConfig(negatives=2, depth=30, relative_margin=None)


@pytest.fixture
def plan(collection, tiny_model):
    """Make what mining anew needs, rounds to be kept in a folder."""

    def make(folder, **config):
        encoder = PackedEncoder(SentenceTransformer(str(tiny_model)))
        queries = encoder.encode_queries(
            [collection.queries[query] for query in collection.positives("train")]
        )
        first = top_k(
            queries, encoder.encode_passages([p.content for p in collection.passages.values()]), 20
        ).indices

        def stars(mined):
            lacking = dict.fromkeys(
                negative.passage_id for one in mined for negative in one.negatives
            )
            return [
                PositiveQuery(passage, f"ba {passage[-1]}", "extractive") for passage in lacking
            ]

        return RefreshPlan(
            collection, MINE, RefreshConfig(**config), 2, first, stars, folder / "refresh"
        )

    return make


@pytest.fixture
def start(tiny_model, material, dev, plan):
    """Train in a folder, negatives mined anew on the way; return the model and every round's numbers."""

    def run(folder, config=CONFIG, **refresh):
        model = SentenceTransformer(str(tiny_model))
        evaluator = DevEvaluator(dev, folder / "dev")
        train_model(
            model, material, evaluator, config, folder / "scratch", None, plan(folder, **refresh)
        )
        found = sorted((folder / "refresh").glob("round-*/summary.json"))
        return model, [json.loads(path.read_text()) for path in found]

    return run


@pytest.fixture
def broken_off(start, monkeypatch):
    """Train, and break off right after a step, or where a function of `rounds` is called."""

    def run(folder, step=None, inside=None, **options):
        with monkeypatch.context() as patch:
            if step:
                real = trainer_module.ProgressLine.on_step_end

                def end(self, args, state, control, **kwargs):
                    if state.global_step == step:
                        raise KeyboardInterrupt
                    real(self, args, state, control, **kwargs)

                patch.setattr(trainer_module.ProgressLine, "on_step_end", end)
            else:

                def stop(*_, **__):
                    raise KeyboardInterrupt

                patch.setattr(round_module, inside, stop)
            with pytest.raises(KeyboardInterrupt):
                start(folder, **options)

    return run
