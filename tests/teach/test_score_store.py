"""One teacher's scores on disk: found again by both texts' hashes, in any order, part by part."""

import numpy as np

from whet.teach.pairs import PairHashes
from whet.teach.score_store import ScoreStore


def pairs(*hashes):
    """Pairs by the hashes of query and passage."""
    queries, passages = zip(*hashes, strict=True)
    return PairHashes(np.array(queries, np.uint64), np.array(passages, np.uint64))


def scores(*numbers):
    return np.array(numbers, np.float32)


def test_what_was_added_is_found_after_the_merge(tmp_path):
    store = ScoreStore(tmp_path / "one")
    store.add(pairs((9, 5), (1, 5)), scores(0.9, 0.1))
    assert np.isnan(store.find(pairs((9, 5)))).all()
    store.merge_added()
    found = store.find(pairs((1, 5), (2, 5), (9, 5)))
    np.testing.assert_array_equal(found, scores(0.1, np.nan, 0.9))
    assert np.isnan(store.find(pairs((5, 9)))).all()  # query and passage are not exchanged


def test_every_part_is_read_back(tmp_path):
    store = ScoreStore(tmp_path)
    for number in range(3):
        store.add(pairs((number, 7)), scores(number / 4))
    again = ScoreStore(tmp_path)
    np.testing.assert_array_equal(again.find(pairs((2, 7), (0, 7))), scores(0.5, 0.0))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["part-000001.parquet", "part-000002.parquet", "part-000003.parquet"]


def test_the_first_score_of_a_pair_stays(tmp_path):
    store = ScoreStore(tmp_path)
    store.add(pairs((1, 2)), scores(0.25))
    store.add(pairs((1, 2)), scores(0.75))
    store.merge_added()
    assert store.find(pairs((1, 2))).tolist() == [0.25]
    assert ScoreStore(tmp_path).find(pairs((1, 2))).tolist() == [0.25]


def test_a_damaged_part_is_dropped_with_a_warning(tmp_path, caplog):
    store = ScoreStore(tmp_path)
    store.add(pairs((1, 2)), scores(0.25))
    store.add(pairs((3, 4)), scores(0.5))
    part = tmp_path / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:50])
    again = ScoreStore(tmp_path)
    np.testing.assert_array_equal(again.find(pairs((1, 2), (3, 4))), scores(np.nan, 0.5))
    assert "part-000001.parquet is damaged" in caplog.text
    assert not part.exists()
