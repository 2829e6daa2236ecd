import itertools

import numpy as np
import pytest
import scipy.stats

from whet.errors import WhetError
from whet.evaluate.significance import bootstrap_interval, compare, randomisation_p


def signs_p(differences):
    """Every sign pattern, one after the other."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 10])
def test_small_samples_are_enumerated(count):
    rng = np.random.default_rng(count)
    for _ in range(10):
        differences = rng.integers(-3, 5, count) / 4  # coarse, so that sums tie
        assert randomisation_p(differences, rng) == pytest.approx(signs_p(differences))


def test_large_samples_agree_with_scipy():
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.02, 0.04):
        differences = np.where(rng.random(200) < 0.5, 0.0, rng.normal(shift, 0.2, 200))
        theirs = scipy.stats.permutation_test(
            (differences, np.zeros(200)),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=20_000,
            rng=rng,
        ).pvalue
        assert randomisation_p(differences, rng, resamples=20_000) == pytest.approx(
            theirs, abs=0.015
        )


def test_p_is_uniform_or_above_when_nothing_differs():
    rng = np.random.default_rng(4)
    p_values = np.array(
        [randomisation_p(rng.normal(0, 1, 40), rng, resamples=999) for _ in range(600)]
    )
    for alpha in (0.05, 0.2, 0.5):
        assert abs((p_values <= alpha).mean() - alpha) < 4 * np.sqrt(alpha * (1 - alpha) / 600)


def test_p_is_never_zero_and_one_without_any_change():
    rng = np.random.default_rng(5)
    assert randomisation_p(np.full(100, 0.1), rng) == pytest.approx(1 / 10_001)
    assert randomisation_p(np.zeros(100), rng) == 1.0


def test_interval_agrees_with_scipy_and_covers_the_truth():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.03, 0.2, 300)
    theirs = scipy.stats.bootstrap(
        (differences,), np.mean, method="percentile", rng=rng
    ).confidence_interval
    assert bootstrap_interval(differences, rng) == pytest.approx(tuple(theirs), abs=0.002)
    covered = 0
    for _ in range(400):
        low, high = bootstrap_interval(rng.exponential(0.1, 100) - 0.05, rng, resamples=1000)
        covered += low <= 0.05 <= high
    assert 0.90 < covered / 400 < 0.98


def test_blocks_do_not_change_what_is_drawn_from(monkeypatch):
    differences = np.random.default_rng(8).normal(0.02, 0.2, 150)
    whole = (
        randomisation_p(differences, np.random.default_rng(0)),
        bootstrap_interval(differences, np.random.default_rng(0)),
    )
    monkeypatch.setattr("whet.evaluate.significance.BLOCK_CELLS", 1501)
    cut = (
        randomisation_p(differences, np.random.default_rng(0)),
        bootstrap_interval(differences, np.random.default_rng(0)),
    )
    assert cut[0] == pytest.approx(whole[0], abs=0.02)
    assert cut[1] == pytest.approx(whole[1], abs=0.003)


def test_compare_counts_and_repeats():
    base = {"a": 0.5, "b": 0.5, "c": 1.0, "d": 0.0}
    tuned = {"d": 1.0, "c": 1.0, "b": 0.25, "a": 0.75}  # order does not matter, ids do
    found = compare(base, tuned, np.random.default_rng(0))
    assert (found.wins, found.losses, found.ties, found.queries) == (2, 1, 1, 4)
    assert found.difference == pytest.approx(0.25)
    assert found == compare(base, tuned, np.random.default_rng(0))
    swapped = compare(tuned, base, np.random.default_rng(0))
    assert (swapped.difference, swapped.p_value, swapped.wins) == (
        -found.difference,
        found.p_value,
        found.losses,
    )


def test_compare_refuses_different_queries():
    with pytest.raises(WhetError, match=r"Only in one: \['b', 'c'\]"):
        compare({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0}, np.random.default_rng(0))
    with pytest.raises(WhetError, match="0 queries of base"):
        compare({}, {}, np.random.default_rng(0))
