"""Settings of training: what YAML makes of `off`, and the learning rate that follows."""

import pytest
from pydantic import ValidationError

from whet.train.config import LEARNING_RATES, TrainConfig


def test_the_lowest_default_of_what_trains_is_the_learning_rate():
    assert TrainConfig(train_only="all+moe").peak_learning_rate == LEARNING_RATES["all"]
    assert TrainConfig(train_only="last-2").peak_learning_rate == LEARNING_RATES["last"]
    assert TrainConfig(train_only="all", learning_rate=0.5).peak_learning_rate == 0.5


def test_off_is_off_where_yaml_reads_false():
    assert TrainConfig(prefix_cache=False).prefix_cache == "off"
    with pytest.raises(ValidationError):
        TrainConfig(prefix_cache=True)


@pytest.mark.parametrize("part", ["last-0", "first-1", "all+", ""])
def test_parts_that_no_model_has_are_refused(part):
    with pytest.raises(ValidationError, match="train_only"):
        TrainConfig(train_only=part)


@pytest.mark.parametrize(
    ("settings", "taught"),
    [({}, False), ({"soft_weight": 0.5}, True), ({"loss": "soft"}, True)],
)
def test_teachers_take_part_where_there_is_a_soft_loss(settings, taught):
    assert TrainConfig(**settings).taught is taught
