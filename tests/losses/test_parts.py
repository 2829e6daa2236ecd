"""Named parts of a loss beside their weights."""

import torch

from whet.losses import LossParts


def test_the_weighted_parts_sum_to_the_total():
    values = {"first": torch.tensor(2.0), "second": torch.tensor(3.0)}
    parts = LossParts(values, {"first": 0.5, "second": 2.0})
    assert {name: part.item() for name, part in parts.weighted.items()} == {
        "first": 1.0,
        "second": 6.0,
    }
    assert parts.total.item() == 7.0
    assert parts.values["first"].item() == 2.0


def test_parts_of_two_losses_stand_in_order():
    first = LossParts({"first": torch.tensor(2.0)}, {"first": 0.5})
    second = LossParts({"second": torch.tensor(3.0)}, {"second": 1.0})
    both = first | second
    assert list(both.values) == list(both.weights) == ["first", "second"]
    assert both.total.item() == 4.0
