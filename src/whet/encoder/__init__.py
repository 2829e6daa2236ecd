"""Texts into vectors: one implementation of pooling, prompts, batching, precision and storage."""

from whet.encoder.packed import PackedEncoder, to_unit_length
from whet.encoder.stored import StoredEncoder
from whet.encoder.tokens import token_lengths, tokenise

__all__ = ["PackedEncoder", "StoredEncoder", "to_unit_length", "token_lengths", "tokenise"]
