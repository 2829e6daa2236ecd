"""The test against exact distributions, the interval against its normal limit and its coverage."""

import itertools
import json

import numpy as np
import pytest

from whet.errors import WhetError
from whet.evaluate import significance
from whet.evaluate.significance import Comparison, bootstrap_interval, compare, randomisation_p


def p_of_all_signs(differences):
    """Every sign pattern, one after the other."""
    observed = abs(sum(differences))
    hits = []
    for signs in itertools.product((1, -1), repeat=len(differences)):
        total = sum(sign * d for sign, d in zip(signs, differences, strict=True))
        hits.append(abs(total) >= observed - 1e-9)
    return sum(hits) / len(hits)


def p_of_whole_numbers(differences):
    """The exact distribution of the signed sum of whole numbers, by one convolution a number."""
    distribution = np.ones(1)
    for size in np.abs(differences):
        step = np.zeros(2 * size + 1)
        step[0] += 0.5
        step[-1] += 0.5
        distribution = np.convolve(distribution, step)
    sums = np.arange(len(distribution)) - len(distribution) // 2
    return distribution[np.abs(sums) >= abs(differences.sum())].sum()


@pytest.mark.parametrize("count", [1, 2, 5, 6, 10])
def test_small_samples_are_enumerated(count):
    rng = np.random.default_rng(count)
    for _ in range(10):
        differences = rng.integers(-3, 5, count) / 4  # coarse, so that sums tie
        expected = p_of_all_signs(differences)
        assert randomisation_p(differences, rng) == pytest.approx(expected)


@pytest.mark.parametrize("count", [16, 17, 60, 300])
def test_p_is_that_of_the_exact_distribution(count):
    rng = np.random.default_rng(count)
    for shift in (0, 1, 2):
        whole = rng.integers(-4, 5 + shift, count)
        expected = p_of_whole_numbers(whole)
        error = 5 * np.sqrt(expected * (1 - expected) / 10_000) + 1e-4
        assert randomisation_p(whole / 4, rng) == pytest.approx(expected, abs=error)


def test_p_is_uniform_or_above_when_nothing_differs():
    rng = np.random.default_rng(4)
    draws = [rng.normal(0, 1, 40) for _ in range(600)]
    p_values = np.array([randomisation_p(draw, rng, resamples=999) for draw in draws])
    for alpha in (0.05, 0.2, 0.5):
        error = 4 * np.sqrt(alpha * (1 - alpha) / 600)
        assert abs((p_values <= alpha).mean() - alpha) < error


def test_p_is_never_zero_and_one_without_any_change():
    rng = np.random.default_rng(5)
    assert randomisation_p(np.full(100, 0.1), rng) == pytest.approx(1 / 10_001)
    assert randomisation_p(np.zeros(100), rng) == 1.0
    assert randomisation_p(np.array([0.0, 0.3, 0.0]), rng) == 1.0


def test_interval_is_near_the_normal_one_and_covers_the_truth():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.03, 0.2, 300)
    reach = 1.96 * differences.std() / np.sqrt(300)
    normal = differences.mean() - reach, differences.mean() + reach
    assert bootstrap_interval(differences, rng) == pytest.approx(normal, abs=0.002)
    covered = 0
    for _ in range(300):
        low, high = bootstrap_interval(rng.exponential(0.1, 100) - 0.05, rng, resamples=1000)
        covered += low <= 0.05 <= high
    assert 0.90 < covered / 300 < 0.98


def test_the_interval_of_one_query_is_a_point():
    assert bootstrap_interval(np.array([0.25]), np.random.default_rng(0)) == (0.25, 0.25)


def test_batches_do_not_change_what_is_drawn_from(monkeypatch):
    differences = np.random.default_rng(8).normal(0.02, 0.2, 150)

    def both():
        rng = np.random.default_rng(0)
        return randomisation_p(differences, rng), bootstrap_interval(differences, rng)

    p_value, interval = both()
    monkeypatch.setattr(significance, "BATCH_NUMBERS", 1501)
    batched_p, batched_interval = both()
    assert batched_p == pytest.approx(p_value, abs=0.02)
    assert batched_interval == pytest.approx(interval, abs=0.003)


def test_compare_counts_repeats_and_survives_json():
    base = {"a": 0.5, "b": 0.5, "c": 1.0, "d": 0.0}
    tuned = {"d": 1.0, "c": 1.0, "b": 0.25, "a": 0.75}  # order does not matter, ids do
    comparison = compare(base, tuned, np.random.default_rng(0))
    assert (comparison.wins, comparison.losses, comparison.ties) == (2, 1, 1)
    assert comparison.queries == 4
    assert comparison.difference == pytest.approx(0.25)
    assert comparison == compare(base, tuned, np.random.default_rng(0))
    swapped = compare(tuned, base, np.random.default_rng(0))
    assert (swapped.difference, swapped.wins) == (-comparison.difference, comparison.losses)
    assert swapped.p_value == comparison.p_value
    assert Comparison.from_json(json.loads(json.dumps(comparison.to_json()))) == comparison


def test_compare_refuses_different_queries():
    with pytest.raises(WhetError, match=r"Only in one: \['b', 'c'\]"):
        compare({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0}, np.random.default_rng(0))
    with pytest.raises(WhetError, match="0 queries of base"):
        compare({}, {}, np.random.default_rng(0))
