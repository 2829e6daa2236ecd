"""Precision: bfloat16 where asked, and attention in float32 on a CPU."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from architectures import bert_mean, build, texts_of
from whet.encoder.packed import embed
from whet.encoder.precision import autocast_dtype, reduced
from whet.encoder.tokens import tokenise


def test_half_precision_only_where_asked(tmp_path):
    model = build(bert_mean, tmp_path).eval()
    features = tokenise(model, texts_of(4), "document")
    exact, rounded = embed(model, features), embed(model, features, autocast=torch.bfloat16)
    assert rounded.dtype == torch.float32
    assert 1e-5 < (exact - rounded).abs().max() < 0.3
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the trainer's own is left on
        torch.testing.assert_close(embed(model, features), rounded)


@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_takes_bfloat16_where_the_cpu_multiplies_it_fast(monkeypatch, has_bf16):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    cpu = torch.device("cpu")
    assert autocast_dtype("auto", cpu) == (torch.bfloat16 if has_bf16 else None)
    assert autocast_dtype("bf16", cpu) == torch.bfloat16
    assert autocast_dtype("fp32", cpu) is None


def test_attention_stays_in_float32():
    query = torch.randn(1, 1, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = scaled_dot_product_attention(query.float(), query.float(), value=query.float())
    with reduced("cpu", torch.bfloat16):
        output = scaled_dot_product_attention(query, query, value=query)
        product = query.float() @ query.float().transpose(2, 3)
    assert output.dtype == product.dtype == torch.bfloat16
    assert torch.equal(output, exact.bfloat16())
