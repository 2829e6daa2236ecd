"""The recipe: what effort derives, what overrides change, and that nothing unknown slips in."""

import re
from dataclasses import replace

import pytest
import yaml

from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.mine.config import MineConfig
from whet.records import Collection, Passage
from whet.run.recipe import PAIRS_SEEN, Recipe, derive, read_recipe
from whet.teach.config import TeachConfig
from whet.moe.config import MoEConfig
from whet.train.config import TrainConfig
from whet.train.forgetting_config import GuardConfig
from whet.train.refresh.config import RefreshConfig


def collection_of(pairs):
    passages = {f"p{i}": Passage(f"p{i}", "text") for i in range(pairs)}
    queries = {f"q{i}": "text" for i in range(pairs)}
    return Collection(
        "made", passages, queries, {"train": {f"q{i}": {f"p{i}": 1} for i in range(pairs)}}
    )


@pytest.mark.parametrize(
    ("effort", "epochs"),
    [
        ("quick", [2, 2, 2, 1, 1, 1]),
        ("standard", [4, 4, 3, 2, 2, 1]),
        ("thorough", [10, 10, 10, 3, 2, 2]),
    ],
)
def test_effort_derives_epochs_from_the_number_of_pairs(effort, epochs):
    data = [collection_of(pairs) for pairs in (1, 20, 300, 2_000, 6_000, 50_000)]
    found = [derive(one, effort).train for one in data]
    assert [train.epochs for train in found] == epochs
    assert all(8 <= train.batch_size <= 32 for train in found)


def test_what_was_written_is_seen_twice_only_where_it_is_little():
    written = [
        replace(collection_of(pairs), synthetic=frozenset({"train"})) for pairs in (300, 2_000)
    ]
    assert [derive(one, "standard").train.epochs for one in written] == [3, 1]


def test_passages_get_queries_where_there_are_none_or_few():
    documents = replace(collection_of(2_000), qrels={})
    made = replace(collection_of(2_000), synthetic=frozenset({"train"}))
    counts = [
        derive(data, "quick").generate.passages for data in (documents, made, collection_of(300))
    ]
    assert counts == [1_000, 1_000, 400]
    assert derive(collection_of(2_000), "quick").generate.passages == 0
    assert derive(collection_of(300), "quick", {"generate": {"passages": 0}}).generate.passages == 0


def test_other_wordings_make_no_small_data_large():
    reworded = collection_of(520)  # 130 labelled pairs and three other wordings of each
    found, plain = derive(reworded, "standard", labelled=130), derive(reworded, "standard")
    assert (found.train.soft_weight, found.guard.interpolate, found.refresh.off) == (
        0.5,
        True,
        True,
    )
    assert (plain.train.soft_weight, plain.guard.interpolate, plain.refresh.off) == (
        0.0,
        False,
        False,
    )
    assert found.train.epochs == plain.train.epochs


def test_more_effort_trains_longer():
    epochs = [
        derive(collection_of(300), effort).train.epochs
        for effort in ("quick", "standard", "thorough")
    ]
    assert epochs == sorted(set(epochs))


def test_overrides_win_and_leave_the_rest_as_derived():
    plain = derive(collection_of(300), "standard")
    changed = derive(
        collection_of(300),
        "standard",
        {"train": {"epochs": 9}, "max_length": 64, "mine": {"negatives": 7}},
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


def refused(overrides):
    """The lines of the message with which a recipe is refused, but for the first, which is always the same."""
    with pytest.raises(ConfigError) as error:
        derive(collection_of(9), "quick", overrides)
    return str(error.value).splitlines()[1:]


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
    known = (
        last.removeprefix("docs/RECIPE.md describes every setting. The keys are ")
        .removesuffix(".")
        .split(", ")
    )
    expected = [*Recipe.model_fields, *(f"mine.{name}" for name in MineConfig.model_fields)]
    expected += [f"generate.{name}" for name in GenerateConfig.model_fields]
    expected += [f"teach.{name}" for name in TeachConfig.model_fields]
    expected += [f"train.{name}" for name in TrainConfig.model_fields]
    expected += [f"moe.{name}" for name in MoEConfig.model_fields]
    expected += [f"refresh.{name}" for name in RefreshConfig.model_fields]
    assert known == [*expected, *(f"guard.{name}" for name in GuardConfig.model_fields)]


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
            "expected all, intermediate, output, moe, norms, last-N, or several joined by +",
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
            "mine: got {'skip': 9, 'depth': 9}; skip is 9 and depth 9: no rank is left, make depth larger than skip",
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
    "fitting",
    [
        {"train": {"negatives": 8}, "mine": {"negatives": 8}},
        {"train": {"negatives": 0, "batches": "neighbour"}, "mine": {"negatives": 1}},
        {"mine": {"negatives": 1}},
    ],
)
@pytest.mark.parametrize("effort", PAIRS_SEEN)
def test_training_takes_as_many_negatives_as_mining_keeps_or_fewer(fitting, effort):
    recipe = derive(collection_of(300), effort, fitting)
    assert recipe.train.negatives == fitting.get("train", {}).get("negatives", 1)
    assert all(train.negatives <= recipe.mine.negatives for train, _ in recipe.trials().values())


def test_a_recipe_is_read_from_yaml(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 4\ntrain: {learning_rate: 1.0e-3, trackers: [tensorboard]}\n")
    recipe = derive(collection_of(9), "standard", read_recipe(path))
    assert (recipe.seed, recipe.train.peak_learning_rate, recipe.train.trackers) == (
        4,
        1e-3,
        ("tensorboard",),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be opened: No such file or directory"),
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
    for unknown in ("fast", ["quick"], 3):
        with pytest.raises(
            ConfigError,
            match=re.escape(f"effort: got {unknown!r}; expected quick, standard, thorough"),
        ):
            derive(collection, "standard", {"effort": unknown})


def test_experts_are_what_trains_unless_told_otherwise():
    data = collection_of(300)
    assert derive(data, "standard", {"moe": {"experts": 2}}).train.train_only == "moe"
    kept = derive(data, "standard", {"moe": {"experts": 2}, "train": {"train_only": "moe+norms"}})
    assert kept.train.train_only == "moe+norms"
    assert [moe.experts for _, moe in kept.trials().values()] == [2]


def test_thorough_tries_all_intermediate_and_experts():
    recipe = derive(collection_of(300), "thorough", {"train": {"epochs": 3}})
    found = {
        name: (train.train_only, train.epochs, moe.experts)
        for name, (train, moe) in recipe.trials().items()
    }
    assert found == {
        "all": ("all", 3, 0),
        "intermediate": ("intermediate", 3, 0),
        "moe": ("moe", 3, 2),
    }
    assert (
        len(derive(collection_of(300), "thorough", {"train": {"train_only": "all"}}).trials()) == 1
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"moe": {"experts": 1}}, "one expert is dense"),
        ({"moe": {"experts": 2, "top_k": 3}}, "top_k is 3, more than the 2 experts"),
        ({"moe": 2}, "moe: got 2; expected a mapping"),
        ({"candidates": ["all", "half"]}, "half"),
        ({"train": {"train_only": "moe+"}}, "joined by +"),
    ],
)
def test_experts_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ConfigError) as error:
        derive(collection_of(30), "standard", wrong)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("pairs", "small"), [(20, True), (499, True), (500, False), (5_000, False)]
)
def test_small_data_is_taught_and_goes_back_towards_base(pairs, small):
    recipe = derive(collection_of(pairs), "standard")
    assert (recipe.train.taught, recipe.guard.interpolate) == (small, small)
    assert recipe.guard.data == "pydoc"
    own = derive(
        collection_of(pairs), "standard", {"train": {"soft_weight": 0}, "guard": {"data": "none"}}
    )
    assert (own.train.taught, own.guard.interpolate, own.guard.data) == (False, small, "none")


def test_documentation_does_not_guard_itself():
    assert derive(replace(collection_of(9), name="pydoc"), "quick").guard.data == "none"


def test_refreshing_takes_a_number_or_a_word():
    found = [
        derive(collection_of(900), "quick", {"refresh": {"times": t}}).refresh
        for t in ("2", 3, "auto", False)
    ]
    assert [one.times for one in found] == [2, 3, "auto", "off"]
    assert [one.off for one in found] == [False, False, False, True]
    assert derive(collection_of(9), "quick").refresh.off
    for wrong in ("no", -1, 1.5, None, True):
        assert refused({"refresh": {"times": wrong}})[0].endswith(
            "expected a number from 0 on, auto or off"
        )


def test_off_needs_no_quotes():
    wanted = yaml.safe_load("train: {prefix_cache: off}")
    assert derive(collection_of(9), "quick", wanted).train.prefix_cache == "off"
    assert "expected 'auto' or 'off'" in refused({"train": {"prefix_cache": True}})[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"times": "off", "background": True},
            "times is off, which it is by itself on small data, so background would do nothing: give times, too",
        ),
        (
            {"times": 0, "background": True, "generate": True},
            "so background and generate would do nothing",
        ),
        ({"times": 2, "replay": "x"}, "replay repeats what was recorded, so times has no say"),
    ],
)
def test_settings_of_refreshing_that_contradict_are_refused(settings, message):
    assert message in refused({"refresh": settings})[0]
