"""The packed encoder: one truth for pooling, prompts, truncation and batching in training, mining and evaluation.

Texts are tokenised by the model itself, every distinct text runs once, rows are sorted by length and cut into chunks of
about `chunk_tokens` padded tokens, and the vectors come back in the order asked for. Packing changes nothing but float
noise; it saves the arithmetic that padding wastes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from whet.artifacts import digest
from whet.progress import track
from whet.records import Encoder, Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Task = Literal["query", "document"]
Features = dict[str, Any]
"""What a SentenceTransformer's `preprocess` returns: tensors of shape (doc, token) and some scalars."""

BLOCK = 1024  # texts tokenised at once, and stored together
# 1,000-2,000 tokens is where a CPU's caches hold a chunk (METHODS.md 5); a GPU wants to be filled instead.
CHUNK_TOKENS = {"cpu": 2048, "cuda": 65536}


def prompt_of(model: "SentenceTransformer", task: Task) -> str | None:
    """The prompt that the model itself puts before a text of this task, by sentence-transformers' own rule."""
    names = ("query",) if task == "query" else ("document", "passage", "corpus")
    name = next((name for name in names if name in model.prompts), model.default_prompt_name)
    return model.prompts.get(name) if name is not None else None


def tokenise(model: "SentenceTransformer", texts: Sequence[str], task: Task) -> Features:
    """Model-ready features of texts, prompt included, truncated as the model truncates, padded to the longest."""
    return dict(model.preprocess(list(texts), prompt=prompt_of(model, task), task=task))


def token_lengths(model: "SentenceTransformer", texts: Sequence[str]) -> list[int]:
    """Tokens of every passage before truncation, special tokens included."""
    rows = model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
    return [len(row) for row in rows]


def cut(lengths: Int[Tensor, " doc"], chunk_tokens: int) -> list[Int[Tensor, " chunk"]]:
    """Row indices, longest first, cut so that rows × longest row of a chunk stays within `chunk_tokens`.

    A row that is longer than the budget gets a chunk of its own.

    >>> [c.tolist() for c in cut(torch.tensor([2, 9, 4, 3]), 10)]
    [[1], [2, 3], [0]]
    """
    order = torch.sort(lengths, descending=True, stable=True).indices
    chunks, start = [], 0
    while start < len(order):
        size = max(1, chunk_tokens // int(lengths[order[start]]))
        chunks.append(order[start : start + size])
        start += size
    return chunks


def take(features: Features, rows: Int[Tensor, " chunk"]) -> Features:
    """The features of some rows, with the padding that none of them needs cut off."""
    mask = features["attention_mask"][rows]
    used = mask.any(dim=0).nonzero()
    columns = slice(int(used.min()), int(used.max()) + 1)
    size = features["attention_mask"].shape
    return {
        name: value[rows][:, columns] if isinstance(value, Tensor) and value.shape[:2] == size else value
        for name, value in features.items()
    }


def distinct(features: Features) -> tuple[Int[Tensor, " chunk"], Int[Tensor, " doc"]]:
    """Rows that hold every different text once, and for each row the place of its text among them."""
    ids = features["input_ids"].masked_fill(features["attention_mask"] == 0, -1)
    _, place = torch.unique(ids, dim=0, return_inverse=True)
    first = torch.full((int(place.max()) + 1,), len(place), dtype=torch.long, device=place.device)
    first.scatter_reduce_(0, place, torch.arange(len(place), device=place.device), reduce="amin")
    return first, place


def same_text(left: Features, right: Features) -> Bool[Tensor, "left right"]:
    """Which rows of two batches hold the same tokens, whatever their padding."""
    rows = [
        [tuple(ids[mask.bool()].tolist()) for ids, mask in zip(f["input_ids"], f["attention_mask"], strict=True)]
        for f in (left, right)
    ]
    return torch.tensor([[a == b for b in rows[1]] for a in rows[0]], device=left["input_ids"].device)


def embed(
    model: torch.nn.Module,
    features: Features,
    *,
    chunk_tokens: int | None = None,
    graph_tokens: int | None = None,
    autocast: torch.dtype | None = None,
) -> Float[Tensor, "doc dim"]:
    """Sentence embeddings of tokenised texts, each distinct text once, in packed chunks; gradients flow.

    Chunks beyond the first `graph_tokens` padded tokens keep no activations: they are computed again on the way
    back, so memory stays bounded while loss and gradient stay exact (the idea of GradCache, arXiv 2101.06983). Features
    without a two-dimensional attention mask (static embeddings, flattened inputs) go through the model as they are.
    """

    def forward(part: Features) -> Float[Tensor, "chunk dim"]:
        device = part["input_ids"].device.type
        with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
            vectors: Tensor = model(part)["sentence_embedding"]
        return vectors.float()

    if getattr(features.get("attention_mask"), "ndim", 0) != 2:
        return forward(dict(features))
    first, place = distinct(features)
    lengths = features["attention_mask"].sum(dim=1)[first]
    chunks = cut(lengths, chunk_tokens or CHUNK_TOKENS.get(lengths.device.type, 65536))
    parts, kept = [], 0
    for chunk in chunks:
        part = take(features, first[chunk])
        kept += part["input_ids"].numel()
        remember = graph_tokens is None or kept <= graph_tokens or not torch.is_grad_enabled()
        parts.append(forward(part) if remember else checkpoint(forward, part, use_reentrant=False))
    return torch.cat(parts)[torch.argsort(torch.cat(chunks))][place]


class PackedEncoder:
    """A SentenceTransformer behind the `Encoder` protocol: packed, in evaluation mode, in the precision of its weights.

    `report` is called with the number of texts after every block; it exists for progress bars.
    """

    def __init__(self, model: "SentenceTransformer", chunk_tokens: int | None = None) -> None:
        self.model = model
        self.chunk_tokens = chunk_tokens

    @property
    def fingerprint(self) -> str:
        """Hash of weights, modules' settings, tokenizer, prompts and length limit: what decides a vector."""
        return fingerprint_of(self.model)

    def encode(self, texts: Sequence[str], task: Task) -> Vectors:
        """What `model.encode_query` or `encode_document` returns, computed packed: (doc, dim) float32."""
        unique = list(dict.fromkeys(texts))
        unique.sort(key=len)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                found = [self._block(unique[i : i + BLOCK], task) for i in range(0, len(unique), BLOCK)]
        finally:
            self.model.train(was_training)
        row = {text: i for i, text in enumerate(unique)}
        vectors = np.concatenate(found) if found else np.zeros((0, self._dim()), np.float32)
        return vectors[[row[text] for text in texts]] if texts else vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, ready for search by dot product: (doc, dim) float32."""
        return self._searchable(self.encode(texts, "query"))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, ready for search by dot product: (doc, dim) float32."""
        return self._searchable(self.encode(texts, "document"))

    def _block(self, texts: Sequence[str], task: Task) -> Vectors:
        features = tokenise(self.model, texts, task)
        features = {k: v.to(self.model.device) if isinstance(v, Tensor) else v for k, v in features.items()}
        vectors: Vectors = embed(self.model, features, chunk_tokens=self.chunk_tokens).cpu().numpy()
        return vectors

    def _searchable(self, vectors: Vectors) -> Vectors:
        if self.model.similarity_fn_name == "dot":
            return vectors
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def _dim(self) -> int:
        return int(self.model.get_embedding_dimension() or 0)


class StoredEncoder:
    """An encoder whose vectors are kept on disk, block by block, under the fingerprint of what made them.

    Tuned weights have another fingerprint, so nothing stale can be served; an interrupted run goes on at the block
    where it stopped.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self.encoder = encoder
        self.folder = folder
        self.fingerprint = encoder.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, from disk where they are there: (doc, dim) float32."""
        return self._blocks(texts, "queries", self.encoder.encode_queries)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, from disk where they are there: (doc, dim) float32."""
        return self._blocks(texts, "passages", self.encoder.encode_passages)

    def _blocks(self, texts: Sequence[str], kind: str, encode: Callable[[Sequence[str]], Vectors]) -> Vectors:
        blocks = [texts[i : i + BLOCK] for i in range(0, len(texts), BLOCK)] or [texts]
        return np.concatenate(
            [self._stored(block, kind, encode) for block in track(blocks, f"encode {kind}", len(blocks))]
        )

    def _stored(self, texts: Sequence[str], kind: str, encode: Callable[[Sequence[str]], Vectors]) -> Vectors:
        path = self.folder / f"{digest(self.fingerprint, kind, list(texts))}.npy"
        if path.exists():
            stored: Vectors = np.load(path, allow_pickle=False)
            return stored
        vectors = encode(texts)
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp.npy")
        np.save(aside, vectors, allow_pickle=False)
        aside.replace(path)
        return vectors


def fingerprint_of(model: "SentenceTransformer") -> str:
    """Hash of everything in a model that decides its vectors (40 hex digits)."""
    seen = hashlib.sha256()
    for part in _parts(model):
        seen.update(part)
    return seen.hexdigest()[:40]


def _parts(model: "SentenceTransformer") -> Iterator[bytes]:
    yield json.dumps([model.prompts, model.default_prompt_name, model.max_seq_length, model.truncate_dim]).encode()
    yield str(model).encode()
    tokenizer = getattr(model, "tokenizer", None)
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        yield backend.to_str().encode()
    for name, value in model.state_dict().items():
        yield f"{name} {tuple(value.shape)} {value.dtype}".encode()
        yield value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
