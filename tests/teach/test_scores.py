"""Scores that are asked for once.

Proved: every pair is scored once, within a call, over calls, and after a kill in any block; another
teacher's scores are others; a text counts and not its place; a damaged part is scored again; and a
teacher that dies, gives too few scores or none that are numbers is named with its block, while what
was scored before stays.
"""

import numpy as np
import pytest

from whet.errors import TeacherError
from whet.teach.pairs import Pairs
from whet.teach.scores import PAIRS_PER_LOOKUP, score_pairs

QUERIES = [f"q{'x' * number}" for number in range(7)]
PASSAGES = [f"p{'y' * number}" for number in range(9)]
FOREVER = 10**9


class Counting:
    """Scores a pair by the texts' lengths and lists all pairs that it got.

    It dies after `lives` blocks; `spoil` changes its scores from the second block on.
    """

    name = "counting"
    block = 4

    def __init__(self, fingerprint="one", lives=FOREVER, spoil=None):
        self.fingerprint = fingerprint
        self.lives = lives
        self.spoil = spoil
        self.scored = []

    def score(self, queries, passages):
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        pairs = list(zip(queries, passages, strict=True))
        self.scored += pairs
        scores = np.array([length_score(*pair) for pair in pairs], np.float32)
        if self.spoil and len(self.scored) > self.block:
            return self.spoil(scores)
        return scores


def length_score(query, passage):
    return len(query) + len(passage) / 100


def pairs_of(count, seed=0):
    rng = np.random.default_rng(seed)
    query_rows = rng.integers(0, len(QUERIES), count)
    passage_rows = rng.integers(0, len(PASSAGES), count)
    return Pairs(QUERIES, PASSAGES, query_rows, passage_rows)


def texts_of(pairs):
    rows = zip(pairs.query_rows, pairs.passage_rows, strict=True)
    return [(pairs.queries[query], pairs.passages[passage]) for query, passage in rows]


def check_scores(scores, pairs):
    expected = [length_score(*texts) for texts in texts_of(pairs)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize("pairs_per_lookup", [PAIRS_PER_LOOKUP, 7, 1])
def test_every_pair_is_scored_once(tmp_path, pairs_per_lookup):
    def score(teacher, pairs):
        return score_pairs(teacher, pairs, tmp_path, pairs_per_lookup=pairs_per_lookup)

    first = Counting()
    pairs = pairs_of(40)
    check_scores(score(first, pairs), pairs)
    distinct = set(texts_of(pairs))
    assert len(first.scored) == len(distinct)
    assert set(first.scored) == distinct

    again = Counting()
    check_scores(score(again, pairs), pairs)
    assert not again.scored

    more = pairs_of(60, seed=1)
    check_scores(score(again, more), more)
    assert not set(again.scored) & set(first.scored)


@pytest.mark.parametrize("lives", range(8))
def test_a_killed_process_goes_on_behind_what_it_had_stored(tmp_path, lives):
    pairs = pairs_of(30)
    killed = Counting(lives=lives)
    after = Counting()
    try:
        score_pairs(killed, pairs, tmp_path)
    except KeyboardInterrupt:
        assert len(killed.scored) == 4 * lives
    check_scores(score_pairs(after, pairs, tmp_path), pairs)
    assert not set(killed.scored) & set(after.scored)


def test_another_teacher_scores_for_itself(tmp_path):
    pairs = pairs_of(10)
    other = Counting("two")
    score_pairs(Counting("one"), pairs, tmp_path)
    score_pairs(other, pairs, tmp_path)
    assert other.scored


def test_a_text_counts_and_not_its_place(tmp_path):
    rows = np.array([0, 1])
    pairs = Pairs(["a", "b"], ["c", "d"], rows, rows[::-1])
    turned = Pairs(["b", "a"], ["d", "c"], rows[::-1], rows)
    later = Counting()
    score_pairs(Counting(), pairs, tmp_path)
    score_pairs(later, turned, tmp_path)
    assert not later.scored


def test_a_damaged_part_is_scored_again(tmp_path, caplog):
    pairs = pairs_of(12)
    score_pairs(Counting(), pairs, tmp_path)
    part = min(tmp_path.glob("one/part-*.parquet"))
    part.write_bytes(part.read_bytes()[:50])
    again = Counting()
    check_scores(score_pairs(again, pairs, tmp_path), pairs)
    assert len(again.scored) == 4
    assert "is damaged" in caplog.text


def fail(scores):
    raise RuntimeError("out of memory")


def spoil_second(scores):
    return np.where(np.arange(len(scores)) == 1, np.nan, scores)


def drop_last(scores):
    return scores[:-1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_second, "1 scores are not finite, the first, nan, of"),
        (drop_last, r"got scores of shape \(3,\), expected \(4,\)"),
        (fail, "RuntimeError: out of memory"),
    ],
)
def test_a_teacher_that_fails_is_named_and_nothing_is_lost(tmp_path, spoil, message):
    pairs = pairs_of(40)
    failing = Counting(spoil=spoil)
    repaired = Counting()
    with pytest.raises(TeacherError, match=rf"teacher counting, block 2 \(4 pairs\): {message}"):
        score_pairs(failing, pairs, tmp_path)
    check_scores(score_pairs(repaired, pairs, tmp_path), pairs)
    assert not set(failing.scored[:4]) & set(repaired.scored)


def test_no_pairs(tmp_path):
    no_rows = np.zeros(0, np.int64)
    assert score_pairs(Counting(), Pairs([], [], no_rows, no_rows), tmp_path).shape == (0,)
