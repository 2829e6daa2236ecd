"""A fingerprint changes with a model's vectors, and with nothing else."""

import pytest
import torch
from sentence_transformers import SentenceTransformer

from architectures import bert_mean, bert_prompted, build
from tiny import WORDS, tiny_bert
from whet.encoder.fingerprint import fingerprint_of
from whet.encoder.tokens import token_lengths

TEXTS = WORDS[:8]


@pytest.fixture
def model(tmp_path):
    return build(bert_prompted, tmp_path / "bert")


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
