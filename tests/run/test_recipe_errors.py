"""Faults of a recipe: each is named with the closest key, the removal, or what is expected."""

import pytest

from recipes import collection_of, refused
from whet.run.recipe import KEYS, derive
from whet.run.recipe_errors import (
    ANY_VALUE,
    REMOVED_KEYS,
    RecipeError,
    closest_key,
    without_removed_defaults,
)


def test_every_unknown_key_is_named_with_the_closest_beside_all_known_ones():
    *faults, last = refused(
        {
            "train": {"epoch": 2, "lr": 1, 3: 4},
            "minne": {},
            "epochs": 2,
            "mine": {"x": 1, "dept": 9},
        }
    )
    assert sorted(faults) == [
        "epochs: no such setting; did you mean train.epochs?",
        "mine.dept: no such setting; did you mean mine.depth?",
        "mine.x: no such setting",
        "minne: no such setting; did you mean mine?",
        "train.3: no such setting",
        "train.epoch: no such setting; did you mean train.epochs?",
        "train.lr: no such setting",
    ]
    advice = "docs/RECIPE.md describes every setting. The keys are "
    assert last == f"{advice}{', '.join(KEYS)}."


@pytest.mark.parametrize(
    ("overrides", "unknown", "meant"),
    [
        ({"epochs": 1}, "epochs", "train.epochs"),
        ({"train_only": "all"}, "train_only", "train.train_only"),
        ({"train": {"max_length": 9}}, "train.max_length", "max_length"),
        ({"train": {"skip": 1}}, "train.skip", "mine.skip"),
        ({"mine": {"temperatur": 1}}, "mine.temperatur", "train.temperature"),
    ],
)
def test_a_key_in_the_wrong_part_is_led_to_the_right_one(overrides, unknown, meant):
    assert refused(overrides)[0] == f"{unknown}: no such setting; did you mean {meant}?"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train": {"epochs": 0}}, "train.epochs: got 0; expected greater than or equal to 1"),
        (
            {"train": {"train_only": "last-0"}},
            "train.train_only: got 'last-0'; "
            "expected the weights that train: all, intermediate or output (the dense layer of that "
            "name in each block), moe (the experts), norms, last-N (the last N blocks), or several "
            "joined by +",
        ),
        (
            {"train": {"penalty_weight": 1.5}},
            "train.penalty_weight: got 1.5; expected less than or equal to 1",
        ),
        ({"train": {"loss": "mse"}}, "train.loss: got 'mse'; expected 'clp', 'infonce' or 'soft'"),
        ({"train": {"trackers": "wandb"}}, "train.trackers: got 'wandb'; expected a list"),
        (
            {"guard": {"shares": [0.5, 1.5]}},
            "guard.shares.1: got 1.5; expected less than or equal to 1",
        ),
        ({"guard": {"shares": [0]}}, "guard.shares.0: got 0; expected greater than 0"),
        ({"train": 3, "seed": 1}, "train: got 3; expected a mapping such as `train: {epochs: 2}`"),
        (
            {"mine": {"skip": 9, "depth": 9}},
            "mine: got {'skip': 9, 'depth': 9}; skip is 9 and depth 9: no rank is left, "
            "make depth larger than skip",
        ),
        (
            {"train": {"negatives": 8}},
            "train.negatives is 8, but mining keeps 4 a query: raise mine.negatives",
        ),
        (
            {"train": {"negatives": 2}, "mine": {"negatives": 1}},
            "train.negatives is 2, but mining keeps 1 a query: raise mine.negatives",
        ),
        (
            {"seed": "x"},
            "seed: got 'x'; expected a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_a_value_out_of_range_is_shown(overrides, message):
    assert refused(overrides) == [message, "docs/RECIPE.md describes every setting."]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("epochs", "train.epochs"),
        ("train.epoch", "train.epochs"),
        ("mine.epochs", "train.epochs"),
        ("train.lr", None),
    ],
)
def test_the_closest_key_is_of_any_part(key, meant):
    assert closest_key(key, KEYS) == meant


def nested(key, value):
    part, _, name = key.rpartition(".")
    return {part: {name: value}} if part else {name: value}


@pytest.mark.parametrize("key", REMOVED_KEYS)
def test_a_removed_key_is_refused_with_the_reason_and_the_cure(key):
    default = REMOVED_KEYS[key].old_default
    for value in ("other", 64 if default is ANY_VALUE else default):
        line, last = refused(nested(key, value))
        assert line == (
            f"{key}: was removed in this version: {REMOVED_KEYS[key].reason} (docs/LOG.md); "
            "delete it from the recipe"
        )
        assert last == "docs/RECIPE.md describes every setting."


def test_a_run_of_an_earlier_version_keeps_all_that_still_has_a_meaning(caplog):
    recorded = {
        "seed": 5,
        "neighbours": 32,
        "train": {"epochs": 2, "batches": "random", "mask_likely": False},
        "refresh": {"replay": None},
        "moe": {"level": "token", "experts": 2},
    }
    kept = without_removed_defaults(recorded)
    assert kept == {"seed": 5, "train": {"epochs": 2}, "refresh": {}, "moe": {"experts": 2}}
    assert recorded["neighbours"] == 32
    (line,) = caplog.messages
    assert line == (
        "ignored settings that this version no longer has: neighbours: 32, train.batches: random, "
        "train.mask_likely: False, refresh.replay: None, moe.level: token"
    )
    assert derive(collection_of(9), "quick", kept).train.epochs == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.batches", "neighbour"),
        ("train.mask_likely", True),
        ("refresh.replay", "runs/a/train/refresh"),
        ("moe.level", "text"),
    ],
)
def test_a_removed_key_that_did_something_stays_and_is_refused(key, value, caplog):
    kept = without_removed_defaults(nested(key, value))
    assert kept == nested(key, value)
    assert not caplog.messages
    assert "was removed in this version" in refused(kept)[0]


def test_settings_without_removed_keys_stay_without_a_word(caplog):
    recorded = {"train": {"epochs": 2}, "moe": None}
    assert without_removed_defaults(recorded) == recorded
    assert not caplog.messages


def test_a_fault_names_the_option_that_gave_the_value():
    overrides = {"train": {"epochs": 0, "epoch": 1}, "trane": {"loss": "clp"}, "seed": -1}
    with pytest.raises(RecipeError) as error:
        derive(collection_of(9), "quick", overrides)
    options = {"train.epochs": "--epochs", "trane.loss": "--set trane.loss=clp"}
    lines = str(error.value.with_options(options)).splitlines()
    assert "train.epochs: got 0; expected greater than or equal to 1 (given by --epochs)" in lines
    assert "trane: no such setting; did you mean train? (given by --set trane.loss=clp)" in lines
    assert "seed: got -1; expected greater than or equal to 0" in lines
    assert "train.epoch: no such setting; did you mean train.epochs?" in lines


def test_an_option_is_named_where_its_whole_group_is_at_fault():
    with pytest.raises(RecipeError) as error:
        derive(collection_of(9), "quick", {"refresh": {"background": True}})
    named = error.value.with_options({"refresh.background": "--refresh-async"})
    assert str(named).splitlines()[1].endswith("(given by --refresh-async)")
