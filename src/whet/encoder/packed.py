"""The packed encoder: one truth for pooling, prompts, truncation and batching in training, mining and evaluation.

Texts are tokenised by the model itself, every distinct text runs once, rows are sorted by length and cut into chunks of
about `chunk_tokens` padded tokens, and the vectors come back in the order asked for. Packing changes nothing but float
noise; it saves the arithmetic that padding wastes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from whet.artifacts import digest
from whet.encoder.precision import reduced
from whet.progress import say, track
from whet.records import Encoder, Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Task = Literal["query", "document"]
Features = Mapping[str, Any]
"""What a SentenceTransformer's `preprocess` returns: tensors of shape (doc, token) and some scalars."""

BLOCK = 1024  # texts tokenised at once, and stored together
# 1,000-2,000 tokens is where a CPU's caches hold a chunk; a GPU wants to be filled instead.
CHUNK_TOKENS = {"cpu": 2048, "cuda": 65536}
# What a backbone's config says of where it was saved, and not of what it computes.
PASSING = ("_name_or_path", "architectures", "dtype", "transformers_version")


def prompt_of(model: "SentenceTransformer", task: Task) -> str | None:
    """The prompt that the model itself puts before a text of this task, by sentence-transformers' own rule."""
    names = ("query",) if task == "query" else ("document", "passage", "corpus")
    name = next((name for name in names if name in model.prompts), model.default_prompt_name)
    return model.prompts.get(name) if name is not None else None


def tokenise(model: "SentenceTransformer", texts: Sequence[str], task: Task) -> Features:
    """Model-ready features of texts, prompt included, truncated as the model truncates, padded to the longest."""
    return dict(model.preprocess(list(texts), prompt=prompt_of(model, task), task=task))


def token_lengths(model: "SentenceTransformer", texts: Sequence[str]) -> list[int]:
    """Tokens of every passage before truncation, prompt and special tokens included."""
    prompted = [(prompt_of(model, "document") or "") + text for text in texts]
    tokenizer = model.tokenizer
    if not callable(tokenizer):  # that of a static model
        return [len(row.ids) for row in tokenizer.encode_batch(prompted, add_special_tokens=False)]
    return [
        len(row)
        for row in tokenizer(prompted, truncation=False, padding=False, verbose=False)["input_ids"]
    ]


def cut(lengths: Int[Tensor, " doc"], chunk_tokens: int) -> list[Int[Tensor, " chunk"]]:
    """Row indices, longest first, cut so that rows × longest row of a chunk stays within `chunk_tokens`.

    A row that is longer than the budget gets a chunk of its own.

    >>> [c.tolist() for c in cut(torch.tensor([2, 9, 4, 3]), 10)]
    [[1], [2, 3], [0]]
    """
    order = torch.sort(lengths, descending=True, stable=True).indices
    chunks, start = [], 0
    while start < len(order):
        size = max(1, chunk_tokens // max(1, _rounded(int(lengths[order[start]]))))
        chunks.append(order[start : start + size])
        start += size
    return chunks


def take(features: Features, rows: Int[Tensor, " chunk"]) -> Features:
    """The features of some rows, with the padding that they do not need cut off, on whichever side it lies."""
    size = features["attention_mask"].shape
    used = features["attention_mask"][rows].any(dim=0).nonzero().flatten().tolist() or [0]
    width = _rounded(used[-1] + 1 - used[0])
    columns = (
        slice(used[0], used[0] + width)
        if used[0] == 0
        else slice(max(0, used[-1] + 1 - width), used[-1] + 1)
    )
    return {
        name: value[rows][:, columns]
        if isinstance(value, Tensor) and value.shape[:2] == size
        else value
        for name, value in features.items()
    }


def _rounded(length: int) -> int:
    """A length rounded up: a CPU's backend keeps a kernel for every shape that it has seen, and memory with it."""
    return length if length <= 32 else -(-length // 8) * 8


def distinct(features: Features) -> tuple[Int[Tensor, " chunk"], Int[Tensor, " doc"]]:
    """Rows that hold every different text once, and for each row the place of its text among them."""
    ids = features["input_ids"].masked_fill(features["attention_mask"] == 0, -1)
    _, place = torch.unique(ids, dim=0, return_inverse=True)
    first = torch.full((int(place.max()) + 1,), len(place), dtype=torch.long, device=place.device)
    first.scatter_reduce_(0, place, torch.arange(len(place), device=place.device), reduce="amin")
    return first, place


def token_rows(features: Features) -> list[tuple[int, ...]]:
    """The tokens of every text, without padding, from padded features and from flat ones (a static model's)."""
    ids = features["input_ids"].cpu()
    if padded(features):
        return [
            tuple(row[kept].tolist())
            for row, kept in zip(ids, features["attention_mask"].cpu() > 0, strict=True)
        ]
    starts = features["offsets"] if "offsets" in features else features["cu_seq_lens_q"][:-1]
    return [
        tuple(row.tolist()) for row in torch.tensor_split(ids.flatten(), starts[1:].cpu().long())
    ]


def padded(features: Features) -> bool:
    """Whether the features are rows padded to one length, and not one flat line of tokens."""
    return getattr(features.get("attention_mask"), "ndim", 0) == 2


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
    that are not padded rows (static embeddings, flattened inputs) go through the model as they are.
    """
    device = features["input_ids"].device.type

    def forward(part: Features) -> Float[Tensor, "chunk dim"]:
        with reduced(device, autocast):
            # A model writes what it computes into the features; a copy lets go of it.
            vectors: Tensor = model(dict(part))["sentence_embedding"]
        return vectors.float()

    if not padded(features):
        return forward(features)
    first, place = distinct(features)
    lengths = features["attention_mask"].sum(dim=1)[first]
    chunks = cut(lengths, chunk_tokens or CHUNK_TOKENS.get(device, 65536))
    parts, kept = [], 0
    for chunk in chunks:
        part = take(features, first[chunk])
        kept += part["input_ids"].numel()
        remember = graph_tokens is None or kept <= graph_tokens or not torch.is_grad_enabled()
        parts.append(forward(part) if remember else checkpoint(forward, part, use_reentrant=False))
    return torch.cat(parts)[torch.argsort(torch.cat(chunks))][place]


class PackedEncoder:
    """A SentenceTransformer behind the `Encoder` protocol: packed, in evaluation mode.

    In its weights' precision, or with the products in `autocast`.
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
        """Hash of all that decides a vector (`fingerprint_of`)."""
        known = fingerprint_of(self.model)
        return known if self.autocast is None else digest(known, str(self.autocast))

    def encode(self, texts: Sequence[str], task: Task) -> Vectors:
        """What `model.encode_query` or `encode_document` returns, computed packed: (doc, dim) float32."""
        unique = list(dict.fromkeys(texts))
        unique.sort(key=len)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                found = [
                    self._block(unique[i : i + BLOCK], task) for i in range(0, len(unique), BLOCK)
                ]
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
        features = {
            k: v.to(self.model.device) if isinstance(v, Tensor) else v for k, v in features.items()
        }
        vectors = embed(
            self.model, features, chunk_tokens=self.chunk_tokens, autocast=self.autocast
        )
        found: Vectors = vectors[:, : self.model.truncate_dim].cpu().numpy()
        return found

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
    where it stopped. The fingerprint is taken once: wrap an encoder again after training its model in place.
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

    def _blocks(
        self, texts: Sequence[str], kind: str, encode: Callable[[Sequence[str]], Vectors]
    ) -> Vectors:
        blocks = [texts[i : i + BLOCK] for i in range(0, len(texts), BLOCK)] or [texts]
        return np.concatenate(
            [
                self._stored(block, kind, encode)
                for block in track(blocks, f"encode {kind}", len(blocks))
            ]
        )

    def _stored(
        self, texts: Sequence[str], kind: str, encode: Callable[[Sequence[str]], Vectors]
    ) -> Vectors:
        path = self.folder / f"{digest(self.fingerprint, kind, list(texts))}.npy"
        if path.exists():
            try:
                stored: Vectors = np.load(path, allow_pickle=False)
            except (ValueError, EOFError):  # cut short by a full disk or a power cut
                say(f"{path} is damaged; encoding its texts again")
            else:
                return stored
        vectors = encode(texts)
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp.npy")
        np.save(aside, vectors, allow_pickle=False)
        aside.replace(path)
        return vectors


def to_unit_length(model: "SentenceTransformer") -> bool:
    """Let a model that compares by dot products give vectors of length 1, for which those are cosines.

    Returns whether anything had to be changed; a model that compares otherwise, or normalises already, stays as it is.
    """
    from sentence_transformers.base.modules import Normalize

    if model.similarity_fn_name != "dot" or any(isinstance(module, Normalize) for module in model):
        return False
    model.append(Normalize())
    return True


def fingerprint_of(model: "SentenceTransformer") -> str:
    """Hash of everything in a model that decides its vectors, the same before and after use (40 hex digits).

    Weights, the modules' settings, the backbone's config, the tokenizer, prompts, length limit, dimensions kept, and
    whether vectors are compared by dot product.
    """
    seen = hashlib.sha256()
    for part in _parts(model):
        seen.update(part)
    return seen.hexdigest()[:40]


def _parts(model: "SentenceTransformer") -> Iterator[bytes]:
    limits = [
        getattr(model, name, None)
        for name in ("max_seq_length", "truncate_dim", "similarity_fn_name")
    ]
    yield json.dumps([model.prompts, model.default_prompt_name, *limits]).encode()
    yield str(model).encode()
    for module in model:
        if config := getattr(getattr(module, "auto_model", None), "config", None):
            settings = {k: v for k, v in config.to_dict().items() if k not in PASSING}
            yield json.dumps(settings, sort_keys=True, default=str).encode()
    tokenizer = getattr(model, "tokenizer", None)
    if to_str := getattr(getattr(tokenizer, "backend_tokenizer", tokenizer), "to_str", None):
        # Every call of a tokenizer leaves its own truncation and padding behind.
        state = {
            k: v for k, v in json.loads(to_str()).items() if k not in ("truncation", "padding")
        }
        yield json.dumps(state).encode()
    for name, value in model.state_dict().items():
        yield f"{name} {tuple(value.shape)} {value.dtype}".encode()
        yield value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()
