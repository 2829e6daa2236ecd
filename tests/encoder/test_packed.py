"""The packed encoder: what sentence-transformers gives, and the same gradients, for less work."""

import gc
import weakref

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from architectures import (
    ARCHITECTURES,
    bert_mean,
    build,
    qwen3,
    qwen3_without_special_tokens,
    static,
    texts_of,
)
from tiny import tiny_bert
from whet.encoder import PackedEncoder, packed
from whet.encoder.packed import embed, to_unit_length
from whet.encoder.packing import chunks_of
from whet.encoder.tokens import token_rows, tokenise

SAME = {"rtol": 1e-5, "atol": 1e-5}


def forwards(module):
    """Record the number of rows of every call of a module."""
    seen = []
    module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0]["attention_mask"])))
    return seen


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("task", ["query", "document"])
def test_gives_what_sentence_transformers_gives(tmp_path, make, task):
    model = build(make, tmp_path)
    texts = texts_of(12)
    expected = (model.encode_query if task == "query" else model.encode_document)(texts)
    for chunk_tokens in (1, 64, 100_000):
        found = PackedEncoder(model, chunk_tokens).encode(texts, task)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, **SAME)
    assert np.abs(np.diff(found, axis=0)).max(axis=1).min() > 1e-3, (
        "a model that tells nothing apart proves nothing"
    )


def test_searchable_vectors_are_unit_unless_the_model_compares_by_dot(tmp_path):
    model = build(bert_mean, tmp_path)
    texts = texts_of(5)
    raw = model.encode_document(texts)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.1
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(PackedEncoder(model).encode_passages(texts), unit, **SAME)
    model.similarity_fn_name = "dot"
    np.testing.assert_allclose(PackedEncoder(model).encode_passages(texts), raw, **SAME)


def test_every_distinct_text_goes_through_once(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "TEXTS_PER_BLOCK", 8)
    model = build(bert_mean, tmp_path)
    seen = forwards(model[0])
    texts = texts_of(20)
    PackedEncoder(model, 64).encode([*texts, *texts], "document")
    assert sum(seen) == len(set(texts)) == 21
    assert len(seen) > 3
    seen.clear()
    features = tokenise(model, [*texts, *texts], "document")
    embed(model, features, chunk_tokens=64)
    assert sum(seen) == len(set(token_rows(features))) <= 21


def test_no_texts_no_vectors(tmp_path):
    assert PackedEncoder(build(bert_mean, tmp_path)).encode_queries([]).shape == (0, 32)


@pytest.mark.parametrize("make", [bert_mean, qwen3, qwen3_without_special_tokens, static])
def test_empty_texts_pass(tmp_path, make):
    model = build(make, tmp_path)
    expected = model.encode_document(["deba dede", "", "defi"])
    for chunk_tokens in (1, 64):
        found = PackedEncoder(model, chunk_tokens).encode(["deba dede", "", "defi"], "document")
        np.testing.assert_allclose(found, expected, **SAME)


def test_leaves_the_model_as_it_was(tmp_path):
    model = build(bert_mean, tmp_path).train()
    first, second = (PackedEncoder(model).encode(["bade bafi"], "document") for _ in range(2))
    assert model.training
    np.testing.assert_array_equal(first, second)  # dropout was off


def learned(model, vectors, seed=1):
    """Gradients of a fixed linear function of the vectors, which must not be zero."""
    model.zero_grad()
    weight = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))
    (vectors * weight).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert max(g.abs().max() for g in found.values()) > 1e-2
    return found


@pytest.mark.parametrize("make", [bert_mean, qwen3])
def test_gradients_are_those_of_one_plain_forward(tmp_path, make):
    """Chunked, and recomputed in the backward pass, in whole or in part."""
    model = build(make, tmp_path).eval()
    features = tokenise(model, texts_of(12), "document")
    plain = model(dict(features))["sentence_embedding"]
    expected = learned(model, plain)
    seen = forwards(model[0])
    chunks = len(chunks_of(torch.tensor([len(row) for row in set(token_rows(features))]), 64))
    assert chunks > 3
    for graph_tokens, again in ((None, 0), (10**6, 0), (1, chunks), (128, chunks - 2)):
        seen.clear()
        found = embed(model, features, chunk_tokens=64, graph_tokens=graph_tokens)
        assert len(seen) == chunks
        torch.testing.assert_close(found, plain, **SAME)
        torch.testing.assert_close(learned(model, found), expected, rtol=1e-4, atol=1e-4)
        assert len(seen) == chunks + again


def test_dropout_falls_alike_when_computed_again(tmp_path):
    model = build(bert_mean, tmp_path).train()
    features = tokenise(model, texts_of(8), "document")
    found = []
    for graph_tokens in (None, 1):
        torch.manual_seed(7)
        vectors = embed(model, features, chunk_tokens=64, graph_tokens=graph_tokens)
        found.append((vectors.detach(), learned(model, vectors)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    assert (embed(model, features) - found[0][0]).abs().max() > 1e-2, "dropout is on"


def test_what_is_computed_again_is_not_kept(tmp_path):
    """Between forward and backward no chunk's token vectors are alive."""
    model = build(bert_mean, tmp_path).eval()
    made = []
    model[0].register_forward_hook(
        lambda _, __, out: made.append(weakref.ref(out["token_embeddings"]))
    )
    vectors = embed(
        model, tokenise(model, texts_of(12), "document"), chunk_tokens=64, graph_tokens=1
    )
    gc.collect()
    assert vectors.requires_grad
    assert len(made) > 3
    assert [reference() for reference in made] == [None] * len(made)


def test_a_model_of_dot_products_is_trained_to_unit_length_and_saved_so(tmp_path):
    model = SentenceTransformer(str(tiny_bert(tmp_path / "dot", normalise=False, similarity="dot")))
    assert not np.allclose(np.linalg.norm(model.encode(["stone"]), axis=1), 1)
    assert to_unit_length(model)
    assert not to_unit_length(model)
    model.save_pretrained(str(tmp_path / "unit"))
    vectors = SentenceTransformer(str(tmp_path / "unit")).encode(["stone", "oil"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert not to_unit_length(
        SentenceTransformer(str(tiny_bert(tmp_path / "cosine", normalise=False)))
    )
