"""What tests of re-mining share: trainings that re-mine on the way, and where they are killed."""

from contextlib import contextmanager

import pytest
import torch
from sentence_transformers import SentenceTransformer
from trainings import QUICK, broken_off, same, train

from whet.encoder import PackedEncoder
from whet.files import read_json
from whet.mine.config import MineConfig
from whet.records import PositiveQuery
from whet.search.dense import top_k
from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.plan import RefreshPlan

MINE = MineConfig(negatives=2, depth=30, relative_margin=None)


def invented_queries(mined):
    """A positive query for each mined passage."""
    passages = dict.fromkeys(negative.passage_id for query in mined for negative in query.negatives)
    return [PositiveQuery(passage, f"ba {passage[-1]}", "extractive") for passage in passages]


@pytest.fixture(autouse=True)
def _one_thread():
    """The arithmetic of a training that leaves a thread to a second process, and of one without."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def first_ranks(collection, tiny_model):
    """The passages that the base model ranks highest for each training query."""
    encoder = PackedEncoder(SentenceTransformer(str(tiny_model)))
    queries = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    return top_k(encoder.encode_queries(queries), encoder.encode_passages(passages), 20).indices


@pytest.fixture
def plan(collection, first_ranks):
    """Make a plan whose rounds are kept in a folder."""

    def make(folder, **config):
        settings = RefreshConfig(**config)
        rounds = folder / "refresh"
        return RefreshPlan(collection, MINE, settings, 2, first_ranks, invented_queries, rounds)

    return make


@pytest.fixture
def start(tiny_model, training_data, dev, plan):
    """Train in a folder, negatives re-mined on the way; returns the model and every round's log."""

    def run(folder, config=QUICK, **refresh):
        model = SentenceTransformer(str(tiny_model))
        train(model, training_data, dev, folder, config, plan=plan(folder, **refresh))
        return model, logs_in(folder)

    return run


def logs_in(folder):
    """The log of each round, without its times."""
    logs = []
    for path in sorted((folder / "refresh").glob("round-*/summary.json")):
        log = read_json(path)
        assert log.pop("seconds") >= 0
        logs.append(log)
    return logs


@contextmanager
def killed_at(place):
    """Break off the training within: right after a step, or where a function is called."""
    if isinstance(place, int):
        with broken_off(place):
            yield
        return

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, stop)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def ends_the_same(start):
    """Check that a training killed at places, one after the other, ends as the whole one did."""

    def check(folder, whole, places, **refresh):
        model, logs = whole
        for place in places:
            with killed_at(place):
                start(folder, **refresh)
        resumed, found = start(folder, **refresh)
        assert same(resumed, model), places
        assert found == logs, places

    return check
