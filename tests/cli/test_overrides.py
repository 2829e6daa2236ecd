"""Settings from a file and from options: which one wins, and what is a contradiction."""

from dataclasses import fields

import pytest

from recipes import collection_of
from whet.cli.options import (
    LossOptions,
    MiningOptions,
    ModelOptions,
    RefreshOptions,
    RunOptions,
    SyntheticOptions,
    TrainingOptions,
)
from whet.cli.overrides import naming_options, overrides_of
from whet.errors import ConfigError
from whet.run.recipe import KEYS, derive


def settings_of(*bundles):
    settings = []
    for bundle in bundles:
        settings += bundle.settings()
    return settings


def overrides(*bundles, file=None):
    return overrides_of(file, settings_of(*bundles))


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("train: {epochs: 9, loss: infonce}\nmine: {depth: 50}\nseed: 3\n")
    return path


def test_options_that_are_not_given_set_nothing():
    bundles = [LossOptions(), MiningOptions(), ModelOptions(), RefreshOptions(), RunOptions()]
    assert overrides(*bundles, SyntheticOptions(), TrainingOptions()) == {}


def test_every_option_sets_a_key_that_exists():
    bundles = (LossOptions, MiningOptions, ModelOptions, RefreshOptions, SyntheticOptions)
    keys = set()
    for bundle in (*bundles, TrainingOptions):
        options = {field.name: 1 for field in fields(bundle)}
        keys.update(setting.key for setting in bundle(**options).settings())
    assert len(keys) == 17
    assert keys <= set(KEYS)


def test_the_usual_settings_need_no_file():
    given = overrides(
        TrainingOptions(epochs=3, learning_rate=1e-4, batch_size=24, temperature=0.02),
        LossOptions(loss="infonce", penalty_weight=0.5),
        MiningOptions(negatives=2),
        ModelOptions(max_length=64),
    )
    recipe = derive(collection_of(9), "standard", given)
    train = recipe.train
    assert (train.epochs, train.learning_rate, train.batch_size) == (3, 1e-4, 24)
    assert (train.temperature, train.loss, train.penalty_weight) == (0.02, "infonce", 0.5)
    assert (train.negatives, recipe.max_length, recipe.mine.negatives) == (2, 64, 4)


def test_set_and_options_win_over_the_file_and_leave_the_rest(recipe):
    run = RunOptions(set_=["train.warmup=0.05", "mine.depth=60", "seed=4"])
    assert overrides(TrainingOptions(epochs=2), run, file=recipe) == {
        "train": {"epochs": 2, "loss": "infonce", "warmup": 0.05},
        "mine": {"depth": 60},
        "seed": 4,
    }


@pytest.mark.parametrize(
    ("bundles", "message"),
    [
        (
            [TrainingOptions(epochs=3), RunOptions(set_=["train.epochs=2"])],
            "--epochs and --set train.epochs=2 give train.epochs different values",
        ),
        (
            [RunOptions(set_=["seed=2"], seed=3)],
            "--seed and --set seed=2 give seed different values",
        ),
        (
            [RunOptions(set_=["mine.depth=2", "mine.depth=3"])],
            "--set mine.depth=2 and --set mine.depth=3 give mine.depth different values",
        ),
        (
            [TrainingOptions(effort="quick"), RunOptions(set_=["effort=thorough"])],
            "--effort and --set effort=thorough give effort different values",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(bundles, message):
    with pytest.raises(ConfigError, match=message):
        overrides(*bundles)


def test_set_can_turn_a_setting_off():
    run = RunOptions(set_=["mine.relative_margin=null", "refresh.times=off"])
    given = overrides(run)
    assert given == {"mine": {"relative_margin": None}, "refresh": {"times": False}}
    recipe = derive(collection_of(900), "quick", given)
    assert (recipe.mine.relative_margin, recipe.refresh.times) == (None, "off")


def test_options_that_agree_are_not_refused():
    run = RunOptions(set_=["train.epochs=3", "refresh.times=2"])
    given = overrides(TrainingOptions(epochs=3), RefreshOptions(refresh="2"), run)
    assert given["train"] == {"epochs": 3}
    assert derive(collection_of(9), "quick", given).refresh.times == 2


@pytest.mark.parametrize(
    ("negatives", "settings", "mined"),
    [
        (8, [], 8),
        (4, [], None),
        (2, [], None),
        (8, ["mine.negatives=9"], 9),
        (8, ["mine.negatives=5"], 5),
    ],
)
def test_mining_keeps_as_many_negatives_as_training_takes(negatives, settings, mined):
    given = overrides(MiningOptions(negatives=negatives), RunOptions(set_=settings))
    assert given["train"] == {"negatives": negatives}
    assert given.get("mine", {}).get("negatives") == mined


def test_a_file_that_keeps_fewer_negatives_is_not_overruled(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("mine: {negatives: 2}")
    given = overrides(MiningOptions(negatives=8), file=path)
    with pytest.raises(ConfigError, match=r"but mining keeps 2 a query: raise mine\.negatives"):
        derive(collection_of(9), "quick", given)


def test_set_train_negatives_leaves_mining_as_it_is():
    given = overrides(RunOptions(set_=["train.negatives=8"]))
    assert given == {"train": {"negatives": 8}}


def test_a_file_with_one_value_for_a_group_is_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("train: 3")
    with pytest.raises(ConfigError, match=r"train is 3, expected a mapping such as `train: \{epo"):
        overrides(TrainingOptions(epochs=2), file=path)
    path.write_text("train:\n")
    assert overrides(TrainingOptions(epochs=2), file=path) == {"train": {"epochs": 2}}


@pytest.mark.parametrize(
    ("bundle", "line"),
    [
        (
            RunOptions(set_=["train.epoch=2"]),
            "train.epoch: no such setting; did you mean train.epochs? "
            "(given by --set train.epoch=2)",
        ),
        (
            RunOptions(set_=["epochs=2"]),
            "epochs: no such setting; did you mean train.epochs? (given by --set epochs=2)",
        ),
        (
            RunOptions(set_=["train.warmup=2"]),
            "train.warmup: got 2; expected less than 1 (given by --set train.warmup=2)",
        ),
        (
            RunOptions(set_=["train.batches=random"]),
            "train.batches: was removed in this version: neighbour batches gave lower scores than "
            "random ones (docs/LOG.md); delete it from the recipe "
            "(given by --set train.batches=random)",
        ),
        (
            TrainingOptions(epochs=0),
            "train.epochs: got 0; expected greater than or equal to 1 (given by --epochs)",
        ),
    ],
)
def test_a_fault_names_the_option(bundle, line):
    settings = bundle.settings()
    with pytest.raises(ConfigError) as error, naming_options(settings):
        derive(collection_of(9), "quick", overrides_of(None, settings))
    assert line in str(error.value).splitlines()
