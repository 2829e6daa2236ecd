"""The recipe: what effort derives, what overrides change, and that nothing unknown slips in."""

import pytest

from whet.errors import ConfigError
from whet.mine.config import MineConfig
from whet.recipe import MOST_EPOCHS, PAIRS_SEEN, Recipe, derive, read_recipe
from whet.records import Collection, Passage
from whet.train.config import TrainConfig


def collection_of(pairs):
    passages = {f"p{i}": Passage(f"p{i}", "text") for i in range(pairs)}
    queries = {f"q{i}": "text" for i in range(pairs)}
    return Collection("made", passages, queries, {"train": {f"q{i}": {f"p{i}": 1} for i in range(pairs)}})


@pytest.mark.parametrize("effort", PAIRS_SEEN)
@pytest.mark.parametrize("pairs", [1, 20, 300, 2_000, 50_000])
def test_effort_derives_epochs_from_the_number_of_pairs(effort, pairs):
    train = derive(collection_of(pairs), effort).train
    assert 1 <= train.epochs <= MOST_EPOCHS[effort]
    if 1 < train.epochs < MOST_EPOCHS[effort]:
        assert abs(train.epochs * pairs - PAIRS_SEEN[effort]) <= pairs / 2
    assert train.epochs <= derive(collection_of(max(1, pairs // 2)), effort).train.epochs
    assert 8 <= train.batch_size <= 32


def test_more_effort_trains_longer():
    epochs = [derive(collection_of(300), effort).train.epochs for effort in ("quick", "standard", "thorough")]
    assert epochs == sorted(set(epochs))


def test_overrides_win_and_leave_the_rest_as_derived():
    plain = derive(collection_of(300), "standard")
    changed = derive(
        collection_of(300), "standard", {"train": {"epochs": 9}, "max_length": 64, "mine": {"negatives": 7}}
    )
    assert changed.train.epochs == 9
    assert changed.max_length == 64
    assert changed.mine.negatives == 7
    same = changed.model_copy(update={"train": plain.train, "max_length": None, "mine": plain.mine})
    assert same == plain
    assert changed.train.model_copy(update={"epochs": plain.train.epochs}) == plain.train


def test_one_seed_reaches_every_part_unless_a_part_has_its_own():
    recipe = derive(collection_of(9), "quick", {"seed": 5, "mine": {"seed": 8}})
    assert (recipe.seed, recipe.mine.seed, recipe.train.seed) == (5, 8, 5)


def test_every_unknown_key_is_named_beside_all_known_ones():
    with pytest.raises(ConfigError) as error:
        derive(collection_of(9), "quick", {"train": {"epoch": 2, "lr": 1}, "minne": {}, "mine": {"x": 1}})
    message = str(error.value)
    for unknown in ("train.epoch: ", "train.lr: ", "minne: ", "mine.x: "):
        assert f"\n{unknown}Extra inputs are not permitted" in message
    known = message.splitlines()[-1].removeprefix("Known keys: ").removesuffix(".").split(", ")
    expected = [*Recipe.model_fields, *(f"mine.{name}" for name in MineConfig.model_fields)]
    assert known == [*expected, *(f"train.{name}" for name in TrainConfig.model_fields)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train": {"epochs": 0}}, r"train\.epochs: Input should be greater than or equal to 1 \(got 0\)"),
        ({"train": {"train_only": "last-0"}}, r"train\.train_only: .*\(got 'last-0'\)"),
        ({"train": {"penalty_weight": 1.5}}, r"train\.penalty_weight: .*less than or equal to 1 \(got 1\.5\)"),
        ({"train": 3, "seed": 1}, r"train: .*\(got 3\)"),
        ({"mine": {"skip": 9, "depth": 9}}, r"mine: .*no rank is left, make depth larger than skip"),
        ({"seed": "x"}, r"seed: .*valid integer.*\(got 'x'\)"),
    ],
)
def test_a_value_out_of_range_is_shown(overrides, message):
    with pytest.raises(ConfigError, match=message):
        derive(collection_of(9), "standard", overrides)


def test_a_recipe_is_read_from_yaml(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 4\ntrain: {learning_rate: 1.0e-3, trackers: [tensorboard]}\n")
    recipe = derive(collection_of(9), "standard", read_recipe(path))
    assert (recipe.seed, recipe.train.peak_learning_rate, recipe.train.trackers) == (4, 1e-3, ("tensorboard",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as YAML"),
        ("train: {epochs: 2", "cannot be read as YAML"),
        ("- train", "holds list, expected a mapping such as"),
        ("", "holds NoneType, expected a mapping such as"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_by_file(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: {message}"):
        read_recipe(path)


def test_effort_in_a_recipe_takes_effect_and_an_unknown_one_is_refused():
    collection = collection_of(300)
    assert derive(collection, "standard", {"effort": "thorough"}) == derive(collection, "thorough")
    with pytest.raises(ConfigError, match="effort is 'fast'; expected quick, standard, thorough"):
        derive(collection, "standard", {"effort": "fast"})
