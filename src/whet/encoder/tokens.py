"""Texts into tokens, by the model's own tokenizer, prompt included."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Task = Literal["query", "document"]
Features = Mapping[str, Any]
"""What a SentenceTransformer's `preprocess` returns: tensors (doc, token) and some scalars."""

PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}


def prompt_of(model: "SentenceTransformer", task: Task) -> str | None:
    """Return the prompt that the model puts before a text, by sentence-transformers' own rule."""
    for name in PROMPT_NAMES[task]:
        if name in model.prompts:
            prompt: str = model.prompts[name]
            return prompt
    if model.default_prompt_name is None:
        return None
    default_prompt: str | None = model.prompts.get(model.default_prompt_name)
    return default_prompt


def tokenise(model: "SentenceTransformer", texts: Sequence[str], task: Task) -> Features:
    """Model-ready features of texts: prompt included, truncated, padded to the longest."""
    prompt = prompt_of(model, task)
    return dict(model.preprocess(list(texts), prompt=prompt, task=task))


def to_device(features: Features, device: torch.device) -> Features:
    """The same features, their tensors on a device."""
    moved = dict(features)
    for name, value in features.items():
        if isinstance(value, Tensor):
            moved[name] = value.to(device)
    return moved


def token_lengths(model: "SentenceTransformer", texts: Sequence[str]) -> list[int]:
    """Count every passage's tokens before truncation, prompt and special tokens included."""
    prompt = prompt_of(model, "document") or ""
    prompted = [prompt + text for text in texts]
    tokenizer = model.tokenizer
    if not callable(tokenizer):  # a static model has a tokenizer of the `tokenizers` library
        encodings = tokenizer.encode_batch(prompted, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]
    encoded = tokenizer(prompted, truncation=False, padding=False, verbose=False)
    return [len(row) for row in encoded["input_ids"]]


def is_padded(features: Features) -> bool:
    """Whether the features are rows padded to one length, and not one flat line of tokens."""
    return getattr(features.get("attention_mask"), "ndim", 0) == 2


def token_rows(features: Features) -> list[tuple[int, ...]]:
    """Give the tokens of every text, without padding.

    Flat features hold all texts in one line of tokens, and where each text starts:

        input_ids 5 6 7 8, offsets 0 1   ->   (5,) and (6, 7, 8)      a static model
        input_ids 5 6 7 8, cu_seq_lens_q 0 1 4   ->   the same        flash attention
    """
    ids = features["input_ids"].cpu()
    rows: Iterable[Tensor]
    if is_padded(features):
        is_token = features["attention_mask"].cpu() > 0
        rows = map(torch.masked_select, ids, is_token)
    else:
        starts = features.get("offsets")
        if starts is None:
            starts = features["cu_seq_lens_q"][:-1]
        cuts = starts[1:].cpu().long()
        rows = torch.tensor_split(ids.flatten(), cuts)
    return [tuple(row.tolist()) for row in rows]
