import pytest
from pydantic import ValidationError

from whet.mine.config import MineConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"skip": 9, "depth": 9}, "skip is 9 and depth 9: no rank is left, make depth larger"),
        ({"negativs": 3}, "negativs"),
        ({"relative_margin": 1.0}, "relative_margin"),
        ({"strategy": "bm26"}, "strategy"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(ValidationError, match=message):
        MineConfig(**setting)
