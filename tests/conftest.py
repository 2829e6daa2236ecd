"""What every test may use: the real data sets that may lie beside the repository."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared():
    """Return a function from a data set's name to its folder; it skips the test where the set is not there."""

    def folder(name):
        if not (SHARED / name).is_dir():
            pytest.skip(f"{SHARED / name} is not on this machine")
        return SHARED / name

    return folder
