"""Texts into vectors: one truth for pooling, prompts, batching, precision and stored vectors."""
