"""Teachers that are sentence-transformers models: bi-encoders, sparse and late-interaction ones, cross-encoders.

The models of a run itself, base and tuned, teach with the vectors of the corpus that the run needs anyway.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float32

from whet.encoder.packed import fingerprint_of
from whet.records import Collection, Encoder, Vectors

if TYPE_CHECKING:
    from sentence_transformers import (
        CrossEncoder,
        MultiVectorEncoder,
        SentenceTransformer,
        SparseEncoder,
    )
    from torch import Tensor

    Embedder: TypeAlias = SentenceTransformer | SparseEncoder | MultiVectorEncoder

CACHE_MB = 256  # of each kind of text; 170,000 vectors of 384 dimensions


class VectorTeacher:
    """A model by its vectors of the collection's passages, and of its training and dev queries; it knows no others.

    Scores are dot products: cosines, unless the model compares by the dot product.
    """

    block = 16384

    def __init__(self, encoder: Encoder, collection: Collection, name: str) -> None:
        self.encoder, self.collection, self.name = encoder, collection, name

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.encoder.fingerprint

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """The similarity of each query with the passage beside it; KeyError for a text of another collection."""
        left, right = self._queries, self._passages
        rows = [left[0][text] for text in queries], [right[0][text] for text in passages]
        found: Float32[np.ndarray, " pair"] = np.einsum(
            "pd,pd->p", left[1][rows[0]], right[1][rows[1]]
        )
        return found

    @cached_property
    def _queries(self) -> tuple[dict[str, int], Vectors]:
        """Row of every query's text, and the vectors; each split by itself, as mining and dev evaluation have them."""
        splits = [
            [self.collection.queries[query] for query in self.collection.positives(split)]
            for split in ("train", "dev")
        ]
        vectors = np.concatenate([self.encoder.encode_queries(texts) for texts in splits if texts])
        return _rows([text for texts in splits for text in texts]), vectors

    @cached_property
    def _passages(self) -> tuple[dict[str, int], Vectors]:
        texts = [passage.content for passage in self.collection.passages.values()]
        return _rows(texts), self.encoder.encode_passages(texts)


class EmbeddingTeacher:
    """Any model that embeds both texts by themselves and compares the two by its own similarity.

    A text is embedded again only when CACHE_MB was too little to keep its embedding: memory stays bounded however
    many pairs there are.
    """

    block = 2048

    def __init__(self, model: "Embedder", name: str) -> None:
        self.model, self.name = model, name
        self._queries, self._passages = (_Recent(CACHE_MB * 2**20) for _ in range(2))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, prompts, pooling and whatever else decides an embedding."""
        return fingerprint_of(self.model)

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """The model's similarity of each query with the passage beside it."""
        from sentence_transformers import MultiVectorEncoder

        # Embeddings of many vectors differ in length; that encoder has no option to stack them.
        options = {} if isinstance(self.model, MultiVectorEncoder) else {"convert_to_tensor": True}
        left = self._queries.take(queries, partial(self.model.encode_query, **options))
        right = self._passages.take(passages, partial(self.model.encode_document, **options))
        found: Float32[np.ndarray, " pair"] = (
            self.model.similarity_pairwise(left, right).float().cpu().numpy()
        )
        return found


class CrossEncoderTeacher:
    """A cross-encoder: reads both texts at once. One score a pair, through the model's own activation."""

    block = 256

    def __init__(self, model: "CrossEncoder", name: str) -> None:
        if model.num_labels != 1:
            raise ValueError(
                f"{name} gives {model.num_labels} scores a pair; expected a ranker, which gives one"
            )
        self.model, self.name = model, name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, activation and whatever else decides a score."""
        return fingerprint_of(self.model)

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """The model's score of each query with the passage beside it."""
        pairs = list(zip(queries, passages, strict=True))
        found: Float32[np.ndarray, " pair"] = self.model.predict(pairs, show_progress_bar=False)
        return found


def _rows(texts: Sequence[str]) -> dict[str, int]:
    return {text: at for at, text in enumerate(texts)}


class _Recent:
    """Embeddings of the texts met last, as many as fit into `room` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.kept: OrderedDict[str, Tensor] = OrderedDict()
        self.bytes = 0

    def take(self, texts: Sequence[str], encode: Callable[..., Any]) -> Any:
        """Embeddings of texts, in order: stacked, or a list where they differ in shape."""
        import torch

        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self.kept]
        if new:
            for text, vector in zip(new, encode(new, show_progress_bar=False), strict=True):
                self.kept[text] = vector.cpu()
                self.bytes += _bytes(vector)
        for text in wanted:
            self.kept.move_to_end(text)
        found = [self.kept[text] for text in texts]
        while self.bytes > self.room and self.kept:
            self.bytes -= _bytes(self.kept.popitem(last=False)[1])
        return found if len({vector.shape for vector in found}) > 1 else torch.stack(found)


def _bytes(vector: "Tensor") -> int:
    parts = (vector._values(), vector._indices()) if vector.is_sparse else (vector,)
    return sum(part.nbytes for part in parts)
