"""What identifies a model's vectors: a hash of everything that decides them."""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Entries of a backbone's config that say where it was saved, and not what it computes.
PROVENANCE_KEYS = ("_name_or_path", "architectures", "dtype", "transformers_version")

# Every call of a tokenizer leaves its own truncation and padding in the tokenizer's state.
CALL_KEYS = ("truncation", "padding")


def fingerprint_of(model: "SentenceTransformer") -> str:
    """Hash of everything that decides a model's vectors, the same before and after use.

    Weights, the modules' settings, the backbone's config, the tokenizer, prompts, length limit,
    dimensions kept, and whether vectors are compared by dot product. 40 hex digits.
    """
    sha256 = hashlib.sha256()
    for chunk in _settings(model):
        sha256.update(chunk)
    for chunk in _weights(model):
        sha256.update(chunk)
    return sha256.hexdigest()[:40]


def _settings(model: "SentenceTransformer") -> Iterator[bytes]:
    settings = [
        model.prompts,
        model.default_prompt_name,
        getattr(model, "max_seq_length", None),
        getattr(model, "truncate_dim", None),
        getattr(model, "similarity_fn_name", None),
    ]
    yield json.dumps(settings).encode()
    yield str(model).encode()
    for module in model:
        backbone = getattr(module, "auto_model", None)
        config = getattr(backbone, "config", None)
        if config:
            entries = _without(config.to_dict(), PROVENANCE_KEYS)
            yield json.dumps(entries, sort_keys=True, default=str).encode()
    tokenizer = getattr(model, "tokenizer", None)
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    to_str = getattr(backend, "to_str", None)
    if to_str:
        state = _without(json.loads(to_str()), CALL_KEYS)
        yield json.dumps(state).encode()


def _weights(model: "SentenceTransformer") -> Iterator[bytes]:
    for name, value in model.state_dict().items():
        shape = tuple(value.shape)
        yield f"{name} {shape} {value.dtype}".encode()
        on_cpu = value.detach().cpu()
        as_bytes = on_cpu.flatten().view(torch.uint8)
        yield as_bytes.numpy().tobytes()


def _without(entries: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key not in keys}
