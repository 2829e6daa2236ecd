"""Interpolation: every weight is scored, and the best one that forgets little stays."""

import pytest
import torch

from whet.records import InterpolationPoint
from whet.train.interpolate import best_on_dev, interpolate, mix, set_weights


@pytest.fixture
def model():
    return torch.nn.Linear(3, 2)


@pytest.fixture
def tuned(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.fixture
def base(tuned):
    return {name: torch.randn_like(value) for name, value in tuned.items()}


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(None, 0.75), (0.5, 0.5), (0.2, 0.75), (0.9, 0.0)],
    ids=["no check", "tight", "wide", "none"],
)
def test_the_best_point_within_the_budget_stays(model, tuned, base, floor, expected):
    dev = {0.25: 0.3, 0.5: 0.4, 0.75: 0.6, 1.0: 0.6}
    met = {}

    def score(share):
        met[share] = model.weight.detach().clone()
        return dev[share], None if floor is None else 0.8 - 0.5 * share

    share, line = interpolate(model, base, score, (1.0, 0.25, 0.75, 0.5), floor)
    assert share == expected
    assert [point.share for point in line] == [0.25, 0.5, 0.75, 1.0]
    for at, weight in met.items():
        torch.testing.assert_close(weight, (1 - at) * base["weight"] + at * tuned["weight"])
    assert torch.equal(met[1.0], tuned["weight"])
    assert torch.equal(model.weight, met[share] if share else base["weight"])


def test_a_choice_sees_the_accepted_points_alone(model, base):
    seen = []

    def last(points):
        seen.extend(points)
        return points[-1]

    share, _ = interpolate(model, base, lambda at: (at, 1 - at), (0.25, 0.5, 1.0), 0.4, last)
    assert share == 0.5
    assert [point.share for point in seen] == [0.25, 0.5]


def test_of_equals_the_nearest_to_base_is_the_best():
    points = [InterpolationPoint(share, 0.5, None) for share in (0.25, 0.5)]
    assert best_on_dev([*points, InterpolationPoint(1.0, 0.4, None)]).share == 0.25


def test_weights_are_set_by_name_and_others_stay(model, tuned, base):
    set_weights(model, {"bias": base["bias"]})
    assert torch.equal(model.bias, base["bias"])
    assert torch.equal(model.weight, tuned["weight"])
    mix(model, base, tuned, 1)
    assert torch.equal(model.bias, tuned["bias"])
