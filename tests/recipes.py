"""What tests of recipes share: collections of a size, and the message with which one is refused."""

from functools import cache

import pytest

from whet.records import Collection, Passage
from whet.run.recipe import derive
from whet.run.recipe_errors import RecipeError


@cache
def collection_of(pairs):
    """A collection with that many training pairs."""
    passages = {}
    queries = {}
    judgements = {}
    for i in range(pairs):
        passages[f"p{i}"] = Passage(f"p{i}", "text")
        queries[f"q{i}"] = "text"
        judgements[f"q{i}"] = {f"p{i}": 1}
    return Collection("made", passages, queries, {"train": judgements})


def refused(overrides):
    """The lines of the message, without the first, which is always the same."""
    with pytest.raises(RecipeError) as error:
        derive(collection_of(9), "quick", overrides)
    return str(error.value).splitlines()[1:]
