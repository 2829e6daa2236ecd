"""Vectors kept on disk: computed once, never served for another model, never served half."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from architectures import bert_mean, bert_prompted, build
from tiny import WORDS, tiny_bert
from whet.encoder import PackedEncoder, StoredEncoder, packed
from whet.encoder import stored as stored_module
from whet.encoder.fingerprint import fingerprint_of
from whet.encoder.tokens import token_lengths

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


def a_weight(model):
    with torch.no_grad():
        model[0].auto_model.encoder.layer[1].output.dense.bias[3] += 1e-4


def a_prompt(model):
    model.prompts["query"] = "de : "


def the_pooling(model):
    model[1].pooling_mode = "cls"


def the_prompts_share(model):
    model[1].include_prompt = False


def the_length(model):
    model.max_seq_length = 20


def the_dimensions(model):
    model.truncate_dim = 16


def the_comparison(model):
    model.similarity_fn_name = "dot"


def the_heads(model):
    model[0].auto_model.config.num_attention_heads = 2


def the_tokenizer(model):
    model.tokenizer.add_tokens(["bade"])


CHANGES = [
    a_weight,
    a_prompt,
    the_pooling,
    the_prompts_share,
    the_length,
    the_dimensions,
    the_comparison,
    the_heads,
    the_tokenizer,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_vectors_changes_the_fingerprint(model, change):
    before = fingerprint_of(model)
    change(model)
    assert fingerprint_of(model) != before


def test_tuned_weights_are_not_served_old_vectors(model, rows, tmp_path):
    before = stored(model, tmp_path).encode_passages(TEXTS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    rows.clear()
    after = stored(model, tmp_path).encode_passages(TEXTS)
    assert sum(rows) == len(TEXTS)
    assert np.abs(before - after).max() > 1e-2


def test_the_fingerprint_outlives_use_saving_and_the_place(model, tmp_path):
    before = fingerprint_of(model)
    model.encode(TEXTS)
    assert fingerprint_of(model) == before
    token_lengths(model, TEXTS)
    assert fingerprint_of(model) == before
    assert fingerprint_of(model.train()) == before
    model.save_pretrained(str(tmp_path / "elsewhere"), create_model_card=False)
    assert fingerprint_of(SentenceTransformer(str(tmp_path / "elsewhere"), device="cpu")) == before
    other = SentenceTransformer(
        str(tiny_bert(tmp_path / "other", seed=1, max_seq_length=24)), device="cpu"
    )
    assert fingerprint_of(other) != fingerprint_of(build(bert_mean, tmp_path / "again"))
