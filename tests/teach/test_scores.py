"""The store of teachers' scores.

Proved: every pair is scored once, within a call, over calls, and after a kill in any block; another teacher's scores
are others; a text counts and not its place; a damaged part is scored again; and a teacher that dies, gives too few
scores or none that are numbers is named with its block, while what was scored before stays.
"""

import numpy as np
import pytest

from whet.errors import TeacherError
from whet.teach import scores
from whet.teach.scores import Pairs, ask


class Counting:
    """Scores a pair by the texts' lengths and remembers all pairs that it was asked for; dies after `lives` blocks."""

    def __init__(self, fingerprint="one", block=4, lives=10**9, spoil=None):
        self.name, self.fingerprint, self.block, self.lives, self.spoil = (
            "counting",
            fingerprint,
            block,
            lives,
            spoil,
        )
        self.asked = []

    def score(self, queries, passages):
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        self.asked += zip(queries, passages, strict=True)
        found = np.array(
            [len(q) + len(p) / 100 for q, p in zip(queries, passages, strict=True)], np.float32
        )
        return self.spoil(found) if self.spoil and len(self.asked) > self.block else found


def pairs_of(count, seed=0):
    rng = np.random.default_rng(seed)
    queries, passages = [f"q{'x' * i}" for i in range(7)], [f"p{'y' * i}" for i in range(9)]
    return Pairs(queries, passages, rng.integers(0, 7, count), rng.integers(0, 9, count))


def expected(pairs):
    return [
        len(pairs.queries[q]) + len(pairs.passages[p]) / 100
        for q, p in zip(pairs.query, pairs.passage, strict=True)
    ]


@pytest.mark.parametrize("part", [scores.PART, 7, 1])
def test_every_pair_is_scored_once(tmp_path, monkeypatch, part):
    monkeypatch.setattr(scores, "PART", part)
    teacher, pairs = Counting(), pairs_of(40)
    np.testing.assert_allclose(ask(teacher, pairs, tmp_path), expected(pairs), rtol=1e-6)
    assert (
        len(teacher.asked)
        == len(set(teacher.asked))
        == len(set(zip(pairs.query, pairs.passage, strict=True)))
    )
    again = Counting()
    np.testing.assert_allclose(ask(again, pairs, tmp_path), expected(pairs), rtol=1e-6)
    assert not again.asked
    more = pairs_of(60, seed=1)
    np.testing.assert_allclose(ask(again, more, tmp_path), expected(more), rtol=1e-6)
    assert not set(again.asked) & set(teacher.asked)


@pytest.mark.parametrize("lives", range(8))
def test_a_killed_process_goes_on_behind_what_it_had_stored(tmp_path, lives):
    pairs, killed, after = pairs_of(30), Counting(lives=lives), Counting()
    try:
        ask(killed, pairs, tmp_path)
    except KeyboardInterrupt:
        assert len(killed.asked) == 4 * lives
    np.testing.assert_allclose(ask(after, pairs, tmp_path), expected(pairs), rtol=1e-6)
    assert not set(killed.asked) & set(after.asked)


def test_another_teacher_is_asked_anew(tmp_path):
    pairs, other = pairs_of(10), Counting("two")
    ask(Counting("one"), pairs, tmp_path)
    ask(other, pairs, tmp_path)
    assert other.asked


def test_a_text_counts_and_not_its_place(tmp_path):
    ask(Counting(), Pairs(["a", "b"], ["c", "d"], np.array([0, 1]), np.array([1, 0])), tmp_path)
    later = Counting()
    ask(later, Pairs(["b", "a"], ["d", "c"], np.array([1, 0]), np.array([0, 1])), tmp_path)
    assert not later.asked


def test_a_damaged_part_is_scored_again(tmp_path, capsys):
    pairs = pairs_of(12)
    ask(Counting(), pairs, tmp_path)
    part = sorted(tmp_path.glob("one/part-*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:50])
    again = Counting()
    np.testing.assert_allclose(ask(again, pairs, tmp_path), expected(pairs), rtol=1e-6)
    assert len(again.asked) == 4
    assert "is damaged" in capsys.readouterr().err


def fail(found):
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda found: np.where(np.arange(len(found)) == 1, np.nan, found),
            "1 scores are not finite, the first, nan, of",
        ),
        (lambda found: found[:-1], r"got scores of shape \(3,\), expected \(4,\)"),
        (fail, "RuntimeError: out of memory"),
    ],
)
def test_a_teacher_that_fails_is_named_and_nothing_is_lost(tmp_path, spoil, said):
    pairs, failing, mended = pairs_of(40), Counting(spoil=spoil), Counting()
    with pytest.raises(TeacherError, match=rf"teacher counting, block 2 \(4 pairs\): {said}"):
        ask(failing, pairs, tmp_path)
    np.testing.assert_allclose(ask(mended, pairs, tmp_path), expected(pairs), rtol=1e-6)
    assert not set(failing.asked[:4]) & set(mended.asked)


def test_no_pairs(tmp_path):
    assert ask(
        Counting(), Pairs([], [], np.zeros(0, np.int64), np.zeros(0, np.int64)), tmp_path
    ).shape == (0,)
