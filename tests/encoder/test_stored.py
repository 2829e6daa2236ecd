"""Vectors kept on disk: computed once, never served for another model, never served half."""

import numpy as np
import pytest
import torch

from architectures import bert_prompted, build
from tiny import WORDS
from whet.encoder import PackedEncoder, StoredEncoder, packed
from whet.encoder import stored as stored_module

TEXTS = [f"{first} {second}" for first, second in zip(WORDS[:22], WORDS[22:44], strict=True)]


@pytest.fixture
def model(tmp_path):
    return build(bert_prompted, tmp_path / "bert")


@pytest.fixture
def rows(model, monkeypatch):
    """Rows of every forward of the model, the vectors being stored eight at a time."""
    monkeypatch.setattr(packed, "TEXTS_PER_BLOCK", 8)
    monkeypatch.setattr(stored_module, "TEXTS_PER_FILE", 8)
    seen = []
    model[0].register_forward_pre_hook(
        lambda _, given: seen.append(len(given[0]["attention_mask"]))
    )
    return seen


def stored(model, tmp_path):
    return StoredEncoder(PackedEncoder(model), tmp_path / "vectors")


def test_a_second_call_computes_nothing(model, rows, tmp_path):
    first = stored(model, tmp_path).encode_passages(TEXTS)
    assert sum(rows) == len(TEXTS)
    rows.clear()
    np.testing.assert_array_equal(stored(model, tmp_path).encode_passages(TEXTS), first)
    assert rows == []
    np.testing.assert_allclose(
        first, PackedEncoder(model).encode_passages(TEXTS), rtol=1e-5, atol=1e-6
    )


def test_queries_and_passages_are_kept_apart(model, tmp_path):
    encoder = stored(model, tmp_path)
    passages, queries = encoder.encode_passages(TEXTS), encoder.encode_queries(TEXTS)
    assert np.abs(passages - queries).max() > 1e-2
    np.testing.assert_array_equal(stored(model, tmp_path).encode_queries(TEXTS), queries)


def test_goes_on_at_the_block_where_it_stopped(model, rows, tmp_path):
    def power_cut(*_):
        if sum(rows) == 16:
            raise KeyboardInterrupt

    handle = model[0].register_forward_pre_hook(power_cut)
    with pytest.raises(KeyboardInterrupt):
        stored(model, tmp_path).encode_passages(TEXTS)
    handle.remove()
    rows.clear()
    found = stored(model, tmp_path).encode_passages(TEXTS)
    assert sum(rows) == len(TEXTS) - 8
    np.testing.assert_allclose(
        found, PackedEncoder(model).encode_passages(TEXTS), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("left", [0, 60, 500])
def test_a_half_written_file_is_not_served(model, rows, tmp_path, left):
    """Neither one that a killed run left aside, nor one in place that was cut short."""
    whole = stored(model, tmp_path).encode_passages(TEXTS)
    first, second, *_ = sorted((tmp_path / "vectors").iterdir())
    first.rename(first.with_suffix(".tmp.npy"))
    first.with_suffix(".tmp.npy").write_bytes(b"half")
    second.write_bytes(second.read_bytes()[:left])
    rows.clear()
    np.testing.assert_allclose(
        stored(model, tmp_path).encode_passages(TEXTS), whole, rtol=1e-5, atol=1e-6
    )
    assert 8 <= sum(rows) <= 16
    rows.clear()
    np.testing.assert_allclose(
        stored(model, tmp_path).encode_passages(TEXTS), whole, rtol=1e-5, atol=1e-6
    )
    assert rows == []


def test_a_run_killed_while_writing_leaves_nothing_in_place(model, tmp_path, monkeypatch):
    def half(path, vectors, **_):
        path.write_bytes(vectors.tobytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(KeyboardInterrupt):
        stored(model, tmp_path).encode_passages(TEXTS)
    (left,) = (tmp_path / "vectors").iterdir()
    assert left.name.endswith(".tmp.npy")


def test_no_texts(model, tmp_path):
    assert stored(model, tmp_path).encode_passages([]).shape == (0, 32)


def test_tuned_weights_are_not_served_old_vectors(model, rows, tmp_path):
    before = stored(model, tmp_path).encode_passages(TEXTS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    rows.clear()
    after = stored(model, tmp_path).encode_passages(TEXTS)
    assert sum(rows) == len(TEXTS)
    assert np.abs(before - after).max() > 1e-2
