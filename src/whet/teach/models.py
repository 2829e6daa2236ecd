"""Teachers that are sentence-transformers models of any kind.

The kinds are bi-encoders, sparse encoders, late-interaction models, and cross-encoders. The run's
own models, base and tuned, teach with the corpus vectors that the run needs anyway.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float32

from whet.encoder.fingerprint import fingerprint_of
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

CACHE_MB = 256  # for queries, and as much for passages; room for 170,000 vectors of 384 dimensions

Scores: TypeAlias = Float32[np.ndarray, " pair"]


class VectorTeacher:
    """A model that teaches with its stored vectors.

    It knows the collection's passages and its training and dev queries, and no other texts. Scores
    are dot products. They are cosines unless the model itself compares by the dot product.
    """

    block = 16384

    def __init__(self, encoder: Encoder, collection: Collection, name: str) -> None:
        self.encoder = encoder
        self.collection = collection
        self.name = name

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.encoder.fingerprint

    def score(self, queries: Sequence[str], passages: Sequence[str]) -> Scores:
        """The similarity of each query with the passage of the same place.

        Raises KeyError for a text of another collection.
        """
        row_of_query, query_vectors = self._queries
        row_of_passage, passage_vectors = self._passages
        query_rows = [row_of_query[text] for text in queries]
        passage_rows = [row_of_passage[text] for text in passages]
        scores: Scores = np.einsum(
            "pd,pd->p",  # a dot product for each pair, without the products of all pairs
            query_vectors[query_rows],
            passage_vectors[passage_rows],
        )
        return scores

    @cached_property
    def _queries(self) -> tuple[dict[str, int], Vectors]:
        """Row of each query's text, and the vectors.

        Each split is encoded by itself. Mining and dev evaluation do the same, so the vectors are
        in the run's store.
        """
        texts: list[str] = []
        vectors = []
        for split in ("train", "dev"):
            query_ids = self.collection.positives(split)
            split_texts = [self.collection.queries[query] for query in query_ids]
            if split_texts:
                texts += split_texts
                vectors.append(self.encoder.encode_queries(split_texts))
        return _rows(texts), np.concatenate(vectors)

    @cached_property
    def _passages(self) -> tuple[dict[str, int], Vectors]:
        """Row of each passage's text, and the vectors."""
        texts = [passage.content for passage in self.collection.passages.values()]
        return _rows(texts), self.encoder.encode_passages(texts)


class EmbeddingTeacher:
    """Any model that embeds query and passage separately and compares them by its own similarity.

    Embeddings are cached up to CACHE_MB, so memory stays bounded however many pairs there are. A
    text whose embedding no longer fitted is embedded again.
    """

    block = 2048

    def __init__(self, model: "Embedder", name: str) -> None:
        self.model = model
        self.name = name
        self._query_cache = EmbeddingCache(CACHE_MB * 2**20)
        self._passage_cache = EmbeddingCache(CACHE_MB * 2**20)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, prompts, pooling and whatever else decides an embedding."""
        return fingerprint_of(self.model)

    def score(self, queries: Sequence[str], passages: Sequence[str]) -> Scores:
        """The model's similarity of each query with the passage of the same place."""
        from sentence_transformers import MultiVectorEncoder

        options = {"convert_to_tensor": True}
        if isinstance(self.model, MultiVectorEncoder):
            # It gives several vectors a text, as many as there are tokens, and cannot stack them.
            options = {}
        encode_queries = partial(self.model.encode_query, **options)
        encode_passages = partial(self.model.encode_document, **options)
        query_embeddings = self._query_cache.embed(queries, encode_queries)
        passage_embeddings = self._passage_cache.embed(passages, encode_passages)
        similarities = self.model.similarity_pairwise(query_embeddings, passage_embeddings)
        scores: Scores = similarities.float().cpu().numpy()
        return scores


class CrossEncoderTeacher:
    """A cross-encoder: it reads both texts at once and gives one score through its activation.

    Raises ValueError for a model that gives several scores a pair.
    """

    block = 256

    def __init__(self, model: "CrossEncoder", name: str) -> None:
        if model.num_labels != 1:
            raise ValueError(
                f"{name} gives {model.num_labels} scores a pair; expected a ranker, which gives one"
            )
        self.model = model
        self.name = name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, activation and whatever else decides a score."""
        return fingerprint_of(self.model)

    def score(self, queries: Sequence[str], passages: Sequence[str]) -> Scores:
        """The model's score of each query with the passage of the same place."""
        pairs = list(zip(queries, passages, strict=True))
        scores: Scores = self.model.predict(pairs, show_progress_bar=False)
        return scores


def _rows(texts: Sequence[str]) -> dict[str, int]:
    """The place of each text; of the last one where a text occurs twice."""
    return {text: row for row, text in enumerate(texts)}


class EmbeddingCache:
    """Embeddings of the most recently used texts, as many as fit into `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.embeddings: OrderedDict[str, Tensor] = OrderedDict()  # least recently used first
        self.bytes_used = 0

    def embed(self, texts: Sequence[str], encode: Callable[..., Any]) -> Any:
        """Embeddings of texts, in order: stacked, or a list where they differ in shape."""
        import torch

        distinct = dict.fromkeys(texts)
        new_texts = [text for text in distinct if text not in self.embeddings]
        if new_texts:
            new_embeddings = encode(new_texts, show_progress_bar=False)
            for text, embedding in zip(new_texts, new_embeddings, strict=True):
                self.embeddings[text] = embedding.cpu()
                self.bytes_used += _size_in_bytes(embedding)
        for text in distinct:
            self.embeddings.move_to_end(text)

        result = [self.embeddings[text] for text in texts]
        self._shrink()
        shapes = {embedding.shape for embedding in result}
        return result if len(shapes) > 1 else torch.stack(result)

    def _shrink(self) -> None:
        """Drop the least recently used embeddings until the rest fit."""
        while self.bytes_used > self.max_bytes and self.embeddings:
            _, dropped = self.embeddings.popitem(last=False)
            self.bytes_used -= _size_in_bytes(dropped)


def _size_in_bytes(tensor: "Tensor") -> int:
    """The memory that a dense or sparse tensor's numbers take."""
    if tensor.is_sparse:
        # The public values() and indices() want a coalesced tensor.
        return tensor._values().nbytes + tensor._indices().nbytes
    return tensor.nbytes
