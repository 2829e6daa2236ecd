"""The recipe: what effort and the data derive, and what overrides change."""

import re
from dataclasses import replace

import pytest
import yaml

from recipes import collection_of, refused
from whet.errors import ConfigError
from whet.records import Collection
from whet.run.recipe import PAIRS_SEEN, derive, describe_recipe

EFFORTS = ("quick", "standard", "thorough")


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


def test_synthetic_queries_are_read_twice_only_where_they_are_few():
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


def test_paraphrases_make_no_small_data_large():
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


@pytest.mark.parametrize(
    "fitting",
    [
        {"train": {"negatives": 8}, "mine": {"negatives": 8}},
        {"train": {"negatives": 0}, "mine": {"negatives": 1}},
        {"mine": {"negatives": 1}},
    ],
)
@pytest.mark.parametrize("effort", PAIRS_SEEN)
def test_training_takes_as_many_negatives_as_mining_keeps_or_fewer(fitting, effort):
    recipe = derive(collection_of(300), effort, fitting)
    assert recipe.train.negatives == fitting.get("train", {}).get("negatives", 1)
    assert all(train.negatives <= recipe.mine.negatives for train, _ in recipe.trials().values())


def test_effort_in_a_recipe_takes_effect_and_an_unknown_one_is_refused():
    collection = collection_of(300)
    assert derive(collection, "standard", {"effort": "thorough"}) == derive(collection, "thorough")
    for unknown in ("fast", ["quick"], 3):
        with pytest.raises(
            ConfigError,
            match=re.escape(f"effort: got {unknown!r}; expected quick, standard, thorough"),
        ):
            derive(collection, "standard", {"effort": unknown})


def test_experts_are_what_trains_unless_the_recipe_says_otherwise():
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
def test_small_data_has_soft_labels_and_interpolation(pairs, small):
    recipe = derive(collection_of(pairs), "standard")
    assert (recipe.train.taught, recipe.guard.interpolate) == (small, small)
    assert recipe.guard.data == "pydoc"
    own = derive(
        collection_of(pairs), "standard", {"train": {"soft_weight": 0}, "guard": {"data": "none"}}
    )
    assert (own.train.taught, own.guard.interpolate, own.guard.data) == (False, small, "none")


def test_the_documentation_is_not_its_own_forgetting_check():
    assert derive(replace(collection_of(9), name="pydoc"), "quick").guard.data == "none"


def test_refresh_takes_a_number_or_a_word():
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
            "times is off, the default on small data, so background would do nothing: "
            "give times, too",
        ),
        (
            {"times": 0, "background": True, "generate": True},
            "so background and generate would do nothing",
        ),
    ],
)
def test_settings_of_refresh_that_do_nothing_are_refused(settings, message):
    assert message in refused({"refresh": settings})[0]


def test_what_the_data_derives_is_not_held_against_options_before_the_data_is_read():
    """Small data turns re-mining off; whether data is small is not known while it is unread."""
    unread = Collection("", {}, {}, {})
    background = {"refresh": {"background": True}}
    assert derive(unread, "standard", background).refresh.times == "auto"
    assert derive(collection_of(900), "standard", background).refresh.background
    assert "so background would do nothing" in refused(background)[0]


def test_the_line_that_opens_a_run_says_what_is_done_to_what():
    collection = collection_of(900)
    plain = describe_recipe(derive(collection, "quick", {"refresh": {"times": "off"}}), collection)
    assert plain == (
        "made: 900 passages, 900 train queries. effort quick: 1 epoch(s), batches of 32, "
        "1 mined hard negative(s) a query, loss clp, λ 0.1, τ 0.05, no re-mining, "
        "forgetting check on pydoc"
    )
    small = collection_of(30)
    overrides = {"moe": {"experts": 2}, "guard": {"data": "none"}}
    line = describe_recipe(derive(small, "quick", overrides), small)
    assert "; small data (30 of fewer than 500 pairs): soft labels, weights interpolated" in line
    assert line.endswith(", 2 experts a layer, soft-2 labels of base, bm25, bm25-characters")
    documents = replace(collection_of(9), qrels={})
    line = describe_recipe(derive(documents, "quick"), documents)
    assert ", synthetic training queries for up to 9 passages that have none" in line
