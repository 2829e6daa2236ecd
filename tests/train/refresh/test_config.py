"""Settings of re-mining: how often, and what would do nothing."""

import pytest
from pydantic import ValidationError

from whet.train.refresh.config import RefreshConfig


@pytest.mark.parametrize(
    ("given", "times", "off"),
    [("auto", "auto", False), ("3", 3, False), (3, 3, False), (0, 0, True), (False, "off", True)],
)
def test_times_may_be_a_number_auto_or_off(given, times, off):
    config = RefreshConfig(times=given)
    assert config.times == times
    assert config.off is off


@pytest.mark.parametrize("given", [-1, True, "often", 1.5, None])
def test_other_times_are_refused(given):
    with pytest.raises(ValidationError, match="expected a number from 0 on, auto or off"):
        RefreshConfig(times=given)


def test_what_would_do_nothing_is_refused():
    with pytest.raises(ValidationError, match="background and generate would do nothing"):
        RefreshConfig(times="off", background=True, generate=True)
