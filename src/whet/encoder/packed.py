"""The packed encoder, the one that training, mining and evaluation share.

The model itself tokenises, truncates and pools. `whet.encoder.packing` decides which texts go
through it together. The vectors come back in the order of the texts.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from whet.encoder.fingerprint import fingerprint_of
from whet.encoder.packing import CHUNK_TOKENS, chunks_of, distinct_rows, take_rows
from whet.encoder.precision import reduced
from whet.encoder.tokens import Features, Task, is_padded, to_device, tokenise
from whet.files import digest
from whet.records import Vectors
from whet.search.vectors import normalised

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS_PER_BLOCK = 1024  # tokenised at once


def embed(
    model: torch.nn.Module,
    features: Features,
    *,
    chunk_tokens: int | None = None,
    graph_tokens: int | None = None,
    autocast: torch.dtype | None = None,
) -> Float[Tensor, "doc dim"]:
    """Sentence embeddings of tokenised texts, float32, in the texts' order; gradients flow.

    Each distinct text runs once, in packed chunks. Chunks beyond the first `graph_tokens` padded
    tokens keep no activations: they are computed again in the backward pass. Memory stays
    bounded, and loss and gradient stay exact (the idea of GradCache, arXiv 2101.06983).

    Features that are not padded rows (static embeddings, flattened inputs) go through the model
    as they are.
    """
    device = features["input_ids"].device.type

    def forward(chunk_features: Features) -> Float[Tensor, "chunk dim"]:
        with reduced(device, autocast):
            # A model writes its results into the features; those of a copy are freed.
            vectors: Tensor = model(dict(chunk_features))["sentence_embedding"]
        return vectors.float()

    if not is_padded(features):
        return forward(features)
    first_rows, text_of_row = distinct_rows(features)
    lengths = features["attention_mask"].sum(dim=1)[first_rows]
    chunks = chunks_of(lengths, chunk_tokens or CHUNK_TOKENS.get(device, CHUNK_TOKENS["cuda"]))
    keeps_all = graph_tokens is None or not torch.is_grad_enabled()
    kept_tokens = math.inf if keeps_all else graph_tokens
    embeddings = []
    token_count = 0
    for chunk in chunks:
        chunk_features = take_rows(features, first_rows[chunk])
        token_count += chunk_features["input_ids"].numel()
        if token_count <= kept_tokens:
            embeddings.append(forward(chunk_features))
        else:
            embeddings.append(checkpoint(forward, chunk_features, use_reentrant=False))
    # Chunks [1] [2 0] of three texts: text 0 lies at place 2 of the concatenation, text 1 at 0.
    place_of_text = torch.argsort(torch.cat(chunks))
    return torch.cat(embeddings)[place_of_text][text_of_row]


class PackedEncoder:
    """A SentenceTransformer behind the `Encoder` protocol: packed, in evaluation mode.

    It computes in the precision of its weights, or with matrix products in `autocast`.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        chunk_tokens: int | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.model = model
        self.chunk_tokens = chunk_tokens
        self.autocast = autocast

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides a vector (`fingerprint_of`)."""
        fingerprint = fingerprint_of(self.model)
        if self.autocast is None:
            return fingerprint
        return digest(fingerprint, str(self.autocast))

    def encode(self, texts: Sequence[str], task: Task) -> Vectors:
        """What the model's `encode_query` or `encode_document` gives: (doc, dim) float32."""
        unique = list(dict.fromkeys(texts))
        unique.sort(key=len)
        if not unique:
            return np.zeros((0, self._dim()), np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                vectors = np.concatenate(self._encode_blocks(unique, task))
        finally:
            self.model.train(was_training)
        row_of_text = {text: row for row, text in enumerate(unique)}
        return vectors[[row_of_text[text] for text in texts]]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, ready for search by dot product: (doc, dim) float32."""
        return self._searchable(self.encode(texts, "query"))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, ready for search by dot product: (doc, dim) float32."""
        return self._searchable(self.encode(texts, "document"))

    def _encode_blocks(self, texts: Sequence[str], task: Task) -> list[Vectors]:
        """The vectors of each TEXTS_PER_BLOCK texts, in order."""
        blocks = []
        for start in range(0, len(texts), TEXTS_PER_BLOCK):
            block = texts[start : start + TEXTS_PER_BLOCK]
            features = to_device(tokenise(self.model, block, task), self.model.device)
            vectors = embed(
                self.model,
                features,
                chunk_tokens=self.chunk_tokens,
                autocast=self.autocast,
            )
            blocks.append(vectors[:, : self.model.truncate_dim].cpu().numpy())
        return blocks

    def _searchable(self, vectors: Vectors) -> Vectors:
        if self.model.similarity_fn_name == "dot":
            return vectors
        return normalised(vectors)

    def _dim(self) -> int:
        return int(self.model.get_embedding_dimension() or 0)


def to_unit_length(model: "SentenceTransformer") -> bool:
    """Let a model that compares by dot product give vectors of length 1, so that those are cosines.

    Returns whether the model was changed. A model that compares otherwise, or normalises
    already, stays as it is.
    """
    from sentence_transformers.base.modules import Normalize

    if model.similarity_fn_name != "dot":
        return False
    if any(isinstance(module, Normalize) for module in model):
        return False
    model.append(Normalize())
    return True
