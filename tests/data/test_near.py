"""Near texts: overlaps are exact, the nearest text is found, the earliest among equals."""

import numpy as np
import pytest

from whet.data.near import NearIndex, character_shingles, jaccard, sketches, word_shingles

WORDS = np.array([f"word{n}" for n in range(5000)])


@pytest.mark.parametrize("shingles", [word_shingles, character_shingles])
def test_nearest_is_the_nearest_by_exact_overlap(shingles):
    """LSH may miss what is at the threshold, never what is far above it.

    What it returns has the exact overlap.
    """
    rng = np.random.default_rng(11)
    base = [list(rng.choice(WORDS, 50)) for _ in range(40)]
    changed = [[*text[:-1], "other"] for text in base]
    index = NearIndex(0.7)
    base_shingles = [shingles(" ".join(text)) for text in base]
    for number, sketch in enumerate(sketches(base_shingles, seed=3)):
        index.add(number, sketch)
    changed_shingles = [shingles(" ".join(text)) for text in changed]
    for number, sketch in enumerate(sketches(changed_shingles, seed=3)):
        overlaps = [jaccard(other, sketch.shingles) for other in base_shingles]
        assert index.nearest(sketch) == (number, overlaps[number])
        assert overlaps[number] == max(overlaps) > 0.8


def test_shingles_are_sets_of_runs():
    first = {("a", "b", "c"), ("b", "c", "d")}
    second = {("b", "c", "d"), ("c", "d", "e")}
    expected = len(first & second) / len(first | second)
    assert jaccard(word_shingles("A b, c d"), word_shingles("b c d. E")) == pytest.approx(expected)
    assert jaccard(word_shingles("織物産業"), word_shingles("織物産")) == 0.5
    assert jaccard(word_shingles("!!"), word_shingles("??")) == 0.0
    assert jaccard(word_shingles("one"), word_shingles("One!")) == 1.0


def test_the_earliest_of_equally_near_texts_is_taken():
    first, second, probe = sketches([word_shingles("one two three four")] * 3, seed=3)
    index = NearIndex(0.7)
    index.add("first", first)
    index.add("second", second)
    assert index.nearest(probe) == ("first", 1.0)
    (other,) = sketches([word_shingles("quite other words")], seed=3)
    assert index.nearest(other) is None
