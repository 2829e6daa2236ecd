"""What the tests of teachers share: a tiny model of every kind, random texts, a tiny collection."""

import numpy as np
import pytest
import torch

from tiny import VOCABULARY, tiny_bert
from whet.data.read import read

WORDS = [word for word in VOCABULARY if word.isalpha()]
PAIRS = 40


def random_texts(seed):
    """PAIRS texts of one to eight words that the tiny models know."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 9)).tolist()) for _ in range(PAIRS)]


@pytest.fixture(scope="session")
def queries():
    """Texts that stand for queries."""
    return random_texts(1)


@pytest.fixture(scope="session")
def passages():
    """As many texts that stand for passages."""
    return random_texts(2)


@pytest.fixture(scope="session")
def collection(tiny_data):
    """The tiny collection, read."""
    return read(tiny_data)[0]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A tiny random model of every kind, saved: name of the kind → folder.

    `cross` is a cross-encoder saved by its library, `ranker` the same as transformers saves it.
    """
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertForMaskedLM,
        BertForSequenceClassification,
    )

    folder = tmp_path_factory.mktemp("teachers")
    bi = tiny_bert(folder / "bi")
    config = BertConfig.from_pretrained(folder / "bi" / "backbone")
    tokenizer = AutoTokenizer.from_pretrained(bi)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForMaskedLM(config).save_pretrained(folder / "mlm")
        config.num_labels = 1
        BertForSequenceClassification(config).save_pretrained(folder / "ranker")
    tokenizer.save_pretrained(folder / "mlm")
    tokenizer.save_pretrained(folder / "ranker")

    sparse = SparseEncoder(modules=[MLMTransformer(str(folder / "mlm")), SpladePooling()])
    sparse.save_pretrained(str(folder / "sparse"))
    CrossEncoder(str(folder / "ranker")).save_pretrained(str(folder / "cross"))
    MultiVectorEncoder(str(bi)).save_pretrained(str(folder / "late"))
    saved = {kind: folder / kind for kind in ("ranker", "sparse", "cross", "late")}
    return saved | {"bi": bi}
