"""Which interpolation weight is taken, and whether a candidate may replace the base model."""

from dataclasses import replace

import numpy as np
import pytest

from whet.records import InterpolationPoint
from whet.stages.train.candidate import (
    Baseline,
    Candidate,
    better_unless_shown_worse,
    dev_budget,
    farthest_not_worse,
    forgetting_floor,
)

BASE_SCORE = 0.8


def scored(queries, changes):
    """A baseline of so many queries, all 0.8, and points that change each query's score."""
    base = {f"q{number}": BASE_SCORE for number in range(queries)}
    scores = {}
    for share, by in changes.items():
        scores[share] = {query: BASE_SCORE + change for query, change in zip(base, by, strict=True)}
    line = [
        InterpolationPoint(share, float(np.mean(list(values.values()))), None)
        for share, values in scores.items()
    ]
    return Baseline("dev", BASE_SCORE, base, None), line, scores


@pytest.mark.parametrize(
    ("half", "whole", "share", "is_better"),
    [(-0.1, -0.2, 0.5, False), (0.1, 0.0, 0.5, True), (0.0, 0.0, 1.0, True)],
)
def test_the_highest_weight_not_shown_to_be_worse_is_taken(folded, half, whole, share, is_better):
    baseline, line, scores = scored(20, {0.5: [half] * 20, 1.0: [whole] * 20})
    point = farthest_not_worse(folded, scores)(line)
    assert point.share == share
    candidate = Candidate(None, None, point.dev, None, False, share=point.share, line=line)
    chosen = better_unless_shown_worse(folded, baseline, candidate, scores)
    assert chosen.is_better is is_better
    rejected = replace(candidate, share=0.0)  # the forgetting check accepts no point
    assert not better_unless_shown_worse(folded, baseline, rejected, scores).is_better


def test_a_candidate_that_may_replace_base_ranks_before_one_that_may_not():
    better = Candidate(None, None, 0.70, None, is_better=True)
    higher = Candidate(None, None, 0.74, None, is_better=False)
    assert better.rank > higher.rank


def test_the_floor_is_the_budget_below_base(folded, changed):
    assert forgetting_floor(folded, None) is None
    assert forgetting_floor(folded, 0.6) == pytest.approx(0.6 - folded.recipe.guard.budget)
    without = changed(folded, guard={"interpolate": False})
    assert forgetting_floor(without, 0.6) is None
    forced = replace(folded, settings=replace(folded.settings, force=True))
    assert forgetting_floor(forced, 0.6) is None


def test_dev_reads_half_of_what_training_reads_within_bounds(folded):
    train = folded.recipe.train.model_copy(update={"epochs": 2, "negatives": 1})
    characters = sum(
        len(folded.collection.passages[passage].content)
        for _, passage in folded.collection.pairs("train")
    )
    assert dev_budget(folded.collection, train, range(10**9), 2) == characters
    assert dev_budget(folded.collection, train, range(10**8, 10**9), 2) == 10**8
    assert dev_budget(folded.collection, train, range(10), 2) == 10
