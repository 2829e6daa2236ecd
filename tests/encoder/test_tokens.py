"""Texts into tokens: prompts, lengths, and a text known by its tokens."""

import pytest
import torch

from architectures import PROMPTS, bert_mean, build, qwen3, static, texts_of
from tiny import VOCABULARY
from whet.encoder.tokens import prompt_of, to_device, token_lengths, token_rows, tokenise


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({"query": "q: ", "passage": "p: "}, None, "p: "),
        ({"query": "q: ", "corpus": "c: ", "document": "d: "}, None, "d: "),
        ({"query": "q: ", "other": "o: "}, "other", "o: "),
        ({"query": "q: "}, None, None),
    ],
)
def test_a_passage_gets_the_prompt_that_sentence_transformers_gives_it(
    tmp_path, prompts, default, expected
):
    model = build(bert_mean, tmp_path)
    model.prompts = prompts
    model.default_prompt_name = default
    assert prompt_of(model, "document") == expected
    assert prompt_of(model, "query") == "q: "


def test_features_move_and_what_is_no_tensor_stays():
    features = {"input_ids": torch.tensor([[1, 2]]), "task": "query"}
    moved = to_device(features, torch.device("meta"))
    assert moved["input_ids"].device.type == "meta"
    assert moved["task"] == "query"
    assert features["input_ids"].device.type == "cpu"


@pytest.mark.parametrize("make", [bert_mean, qwen3])
def test_token_lengths_count_what_truncation_would_cut(tmp_path, make):
    model = build(make, tmp_path)
    model.prompts = PROMPTS
    texts = texts_of(6, longest=20)
    model.max_seq_length = 500
    features = tokenise(model, texts, "document")
    assert token_lengths(model, texts) == features["attention_mask"].sum(dim=1).tolist()
    model.max_seq_length = 5
    assert token_lengths(model, texts) == features["attention_mask"].sum(dim=1).tolist()


@pytest.mark.parametrize("make", [bert_mean, qwen3, static])
def test_token_rows_know_a_text_by_its_tokens(tmp_path, make):
    model = build(make, tmp_path)
    first, empty, again, second = token_rows(
        model.preprocess(["deba dede", "", "deba dede", "defi"])
    )
    special = len(empty)
    assert [len(first) - special, len(second) - special] == [2, 1]
    assert first == again
    assert set(first) >= {VOCABULARY.index("deba"), VOCABULARY.index("dede")}


def test_token_rows_of_texts_in_one_line():
    """As flash attention takes them: no padding, and where each text begins."""
    features = {
        "input_ids": torch.tensor([[5, 6, 7, 8]]),
        "cu_seq_lens_q": torch.tensor([0, 1, 4], dtype=torch.int32),
    }
    assert token_rows(features) == [(5,), (6, 7, 8)]


def test_token_lengths_of_a_static_model(tmp_path):
    model = build(static, tmp_path)  # "bafi bago :" goes before a text
    assert token_lengths(model, ["deba", ""]) == [4, 3]
