"""Models as whet loads them: in full precision, to their limit, or refused by name."""

import json

import pytest
import torch
from sentence_transformers import SentenceTransformer

from tiny import tiny_bert
from whet.errors import ConfigError
from whet.models import load_model, reading


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_full(tmp_path, dtype):
    SentenceTransformer(str(tiny_bert(tmp_path / "tiny"))).to(dtype).save_pretrained(
        str(tmp_path / "half")
    )
    assert {p.dtype for p in SentenceTransformer(str(tmp_path / "half")).parameters()} == {dtype}
    assert {p.dtype for p in load_model(str(tmp_path / "half")).parameters()} == {torch.float32}


def test_a_length_that_the_model_cannot_read_is_refused_at_once(tiny_model):
    model = load_model(str(tiny_model))
    assert reading(model, None) is model
    assert reading(model, 8).max_seq_length == 8
    own = model[0].auto_model.config.max_position_embeddings
    assert reading(load_model(str(tiny_model)), own).max_seq_length == own
    with pytest.raises(
        ConfigError, match=f"max_length is {own + 1}, and the model reads no more than 64"
    ):
        reading(load_model(str(tiny_model)), own + 1)


def test_models_that_cannot_be_used_are_named(tmp_path):
    broken = tiny_bert(tmp_path / "tiny")
    config = json.loads((broken / "tokenizer_config.json").read_text())
    (broken / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": None}))
    with pytest.raises(ConfigError, match=r"model '.*' cannot be loaded: .*pad"):
        load_model(str(broken))
    own = tiny_bert(tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(
        json.dumps(
            config
            | {
                "model_type": "new",
                "auto_map": {"AutoConfig": "new.New", "AutoModel": "new.NewModel"},
            }
        )
    )
    (own / "new.py").write_text("raise RuntimeError\n")
    with pytest.raises(ConfigError, match="brings code of its own, which whet does not run"):
        load_model(str(own))
