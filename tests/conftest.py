"""What every test may use: real data sets beside the repository, a tiny model and collection."""

from pathlib import Path

import pytest

from tiny import tiny_bert, tiny_collection

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared():
    """Return a function: name of a data set → its folder. It skips the test without that folder."""

    def folder(name):
        if not (SHARED / name).is_dir():
            pytest.skip(f"{SHARED / name} is not on this machine")
        return SHARED / name

    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a random two-layer BERT as a SentenceTransformer."""
    return tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """BEIR folder of made-up words that the tiny model can learn, with a train split only."""
    return tiny_collection(tmp_path_factory.mktemp("tiny") / "tiny")
