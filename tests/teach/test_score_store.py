"""One teacher's scores on disk: found again by both texts' hashes, in any order, part by part."""

import numpy as np

from whet.teach.score_store import ScoreStore, pair_keys


def hashes(*numbers):
    return np.array(numbers, np.uint64)


def scores(*numbers):
    return np.array(numbers, np.float32)


def test_what_was_added_is_found_after_the_merge(tmp_path):
    store = ScoreStore(tmp_path / "one")
    store.add(hashes(9, 1), hashes(5, 5), scores(0.9, 0.1))
    assert np.isnan(store.find(hashes(9), hashes(5))).all()
    store.merge_added()
    found = store.find(hashes(1, 2, 9), hashes(5, 5, 5))
    np.testing.assert_array_equal(found, scores(0.1, np.nan, 0.9))
    assert np.isnan(store.find(hashes(5), hashes(9))).all()  # query and passage are not exchanged


def test_every_part_is_read_back(tmp_path):
    store = ScoreStore(tmp_path)
    for number in range(3):
        store.add(hashes(number), hashes(7), scores(number / 4))
    again = ScoreStore(tmp_path)
    np.testing.assert_array_equal(again.find(hashes(2, 0), hashes(7, 7)), scores(0.5, 0.0))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["part-000001.parquet", "part-000002.parquet", "part-000003.parquet"]


def test_the_first_score_of_a_pair_stays(tmp_path):
    store = ScoreStore(tmp_path)
    store.add(hashes(1), hashes(2), scores(0.25))
    store.add(hashes(1), hashes(2), scores(0.75))
    store.merge_added()
    assert store.find(hashes(1), hashes(2)).tolist() == [0.25]
    assert ScoreStore(tmp_path).find(hashes(1), hashes(2)).tolist() == [0.25]


def test_a_damaged_part_is_dropped_with_a_warning(tmp_path, caplog):
    store = ScoreStore(tmp_path)
    store.add(hashes(1), hashes(2), scores(0.25))
    store.add(hashes(3), hashes(4), scores(0.5))
    part = tmp_path / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:50])
    again = ScoreStore(tmp_path)
    np.testing.assert_array_equal(again.find(hashes(1, 3), hashes(2, 4)), scores(np.nan, 0.5))
    assert "part-000001.parquet is damaged" in caplog.text
    assert not part.exists()


def test_keys_of_many_pairs_differ():
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 2**64, 200, np.uint64)
    passages = rng.integers(0, 2**64, 200, np.uint64)
    keys = pair_keys(np.repeat(queries, 200), np.tile(passages, 200))
    assert len(np.unique(keys)) == 200 * 200
