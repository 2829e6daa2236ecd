"""The cache of frozen lower layers: their hidden states, on disk.

With frozen lower layers, the hidden states of a text below the first layer that trains never
change. They are computed when a text is first seen. From then on training, re-mining and evaluation
run the upper layers only. The cache replaces the `forward` of the transformers model and of its
lower layers, so that no caller needs to know of it.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from whet.encoder.layers import blocks
from whet.encoder.tokens import token_lengths
from whet.errors import ConfigError
from whet.moe.upcycle import backbone, expert_layers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_DISK_SHARE = 0.25  # of the free disk space
MAX_COUNTED_TEXTS = 2000  # whose tokens are counted for the estimate of the size
FLOAT_BYTES = 4
PRECISIONS = 2  # dev is scored in full precision; training may run in another
GIB = 2**30
MIB = 2**20

logger = logging.getLogger(__name__)


def frozen_below(model: nn.Module) -> int:
    """How many of the lowest layers are frozen, with all that is below them.

    0 where there is nothing to cache. Layers with experts count as trained: their routers' scores
    are part of the loss.
    """
    try:
        transformer = backbone(model)
        layers = blocks(transformer)
    except ConfigError:  # no transformer, or several
        return 0
    in_layers: set[int] = set()
    for layer in layers:
        in_layers.update(map(id, layer.parameters()))
    for weight in transformer.parameters():
        is_below = id(weight) not in in_layers
        if is_below and weight.requires_grad:  # embeddings train
            return 0
    for number, layer in enumerate(layers):
        if _trains(layer) or expert_layers(layer):
            return number
    return 0


def _trains(module: nn.Module) -> bool:
    return any(weight.requires_grad for weight in module.parameters())


@contextmanager
def prefix_cache(
    model: "SentenceTransformer",
    texts: Sequence[str],
    passes: float,
    folder: Path,
) -> Iterator[None]:
    """Cache the output of the frozen lower layers, where that pays and there is room.

    It pays where a text is read more than once. `texts` are those to be read, `passes` how often
    each is. The file lies in `folder` and is deleted at the end.
    """
    below = frozen_below(model)
    config = getattr(model, "config", None)
    hidden_size = getattr(config, "hidden_size", 0)
    if not below or passes <= 1 or not _can_cache(model):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    size = _count_tokens(model, texts) * hidden_size * FLOAT_BYTES
    free = shutil.disk_usage(folder).free
    layers = len(blocks(backbone(model)))
    outputs = f"outputs of {below} frozen layers (of {layers})"
    if size > MAX_DISK_SHARE * free:
        needed = f"{size / GIB:.1f} GiB of {free / GIB:.1f} GiB free"
        logger.info(f"not caching {outputs}: they would take {needed}")
        yield
        return
    megabytes = max(1, size // MIB)
    logger.info(f"caching {outputs} in {folder}, about {megabytes:,} MiB, deleted after training")
    room = int(MAX_DISK_SHARE * free)
    max_bytes = min(room, PRECISIONS * size)
    with PrefixCache(model, below, folder / "hidden.f32", max_bytes):
        yield


def _can_cache(model: "SentenceTransformer") -> bool:
    """Whether a text's hidden states are the same each time, and only the last are read above."""
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module.p > 0:
            return False
    config = backbone(model).config
    if getattr(config, "output_hidden_states", False):
        return False
    padding_side = getattr(model.tokenizer, "padding_side", "")
    return bool(padding_side == "right")


def _count_tokens(model: "SentenceTransformer", texts: Sequence[str]) -> int:
    """About how many tokens of the texts the model reads."""
    every = max(1, len(texts) // MAX_COUNTED_TEXTS)
    lengths = token_lengths(model, texts[::every])
    if not lengths:
        return 0
    max_length = model.max_seq_length or 10**9
    read = np.minimum(lengths, max_length)
    return int(read.mean() * len(texts))


class _Recorded(Exception):
    """Ends a forward pass whose upper layers are not wanted."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a text's hidden states lie in the file, and the type that they had."""

    offset: int
    tokens: int
    dtype: torch.dtype


class PrefixCache:
    """Within a `with`, the lowest layers run once for every distinct text.

    After that their output is read back from a file. Texts are distinguished by their tokens and
    the precision in force. Rows must be padded on the right. All layers run as usual for features
    without rows, for new texts once the file holds `max_bytes`, and for models whose layers return
    more than hidden states. Not for layers with dropout, nor for several threads.
    """

    def __init__(self, model: nn.Module, below: int, path: Path, max_bytes: int) -> None:
        self.transformer = backbone(model)
        self.layers = blocks(self.transformer)[:below]
        self.path = path
        self.max_bytes = max_bytes
        self.size = 0  # bytes in the file
        self.places: dict[bytes, _Place] = {}
        self.current: Float[Tensor, "doc token dim"] | None = None  # of the rows at hand
        self.recorded: Float[Tensor, "doc token dim"] | None = None
        self.recording = False
        self.returns_tuples = False
        self.unusable = False  # layers return more than hidden states

    def __enter__(self) -> "PrefixCache":
        self.file = self.path.open("w+b")
        self.layer_forwards = [layer.forward for layer in self.layers]
        for number, layer in enumerate(self.layers):
            layer.forward = partial(self._layer_forward, number)
        self.whole_forward = self.transformer.forward
        self.transformer.forward = self._forward
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module in (self.transformer, *self.layers):
            del module.forward  # the class's own is in force again
        self.file.close()
        self.path.unlink()

    def _forward(self, *args: Any, **inputs: Any) -> Any:
        """In place of the transformer's forward: record new rows, then run the upper layers."""
        if args or not self._can_read(inputs):
            return self.whole_forward(*args, **inputs)
        ids = inputs["input_ids"]
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        keys = list(self._keys(inputs, ids.shape, lengths))
        self._record(inputs, keys, lengths)
        is_complete = all(key in self.places for key in keys)  # not where the file is full
        if self.unusable or not is_complete:
            return self.whole_forward(**inputs)
        self.current = self._read(keys, ids)
        try:
            return self.whole_forward(**inputs)
        finally:
            self.current = None

    def _can_read(self, inputs: dict[str, Any]) -> bool:
        """Whether the inputs are rows of tokens, padded on the right."""
        ids = inputs.get("input_ids")
        mask = inputs.get("attention_mask")
        if ids is None or mask is None:
            return False
        if self.unusable or mask.ndim != 2:
            return False
        return _is_padded_right(mask)

    def _layer_forward(self, number: int, hidden: Any, *args: Any, **others: Any) -> Any:
        """In place of a lower layer's forward.

        With rows read from the file, layers pass on what they get, and the last of them returns
        those rows. While recording, the last layer's output is taken and the pass ended.
        """
        is_last = number == len(self.layers) - 1
        if self.current is not None:
            states = self.current if is_last else hidden
            return (states,) if self.returns_tuples else states
        layer_forward = self.layer_forwards[number]
        output = layer_forward(hidden, *args, **others)
        if self.recording and is_last:
            self.recorded = output
            if isinstance(output, tuple):
                self.returns_tuples = True
                self.unusable = len(output) > 1
                self.recorded = output[0]
            raise _Recorded
        return output

    def _keys(
        self,
        inputs: dict[str, Any],
        shape: torch.Size,
        lengths: Sequence[int],
    ) -> Iterator[bytes]:
        """A key for each row: a hash of all inputs with one value a token, and of the precision."""
        device = inputs["input_ids"].device.type
        mode = ""
        if torch.is_autocast_enabled(device):
            mode = str(torch.get_autocast_dtype(device))
        tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
        # One value for each token, (doc, token).
        tables = [value.cpu().numpy() for value in tensors if value.shape == shape]
        for row, length in enumerate(lengths):
            content = hashlib.blake2b(mode.encode(), digest_size=16)
            for table in tables:
                values = np.ascontiguousarray(table[row, :length])
                content.update(values.tobytes())
            yield content.digest()

    def _record(
        self,
        inputs: dict[str, Any],
        keys: Sequence[bytes],
        lengths: Sequence[int],
    ) -> None:
        """Run the lower layers over the rows that are not in the file yet, and write them."""
        row_of_key = {key: row for row, key in enumerate(keys)}  # equal texts once
        rows = [row for key, row in row_of_key.items() if key not in self.places]
        if not rows or self.size >= self.max_bytes:
            return
        states = self._lower_layers(inputs, rows)
        as_floats = states.float().cpu().numpy()  # (row, token, dim)
        self.file.seek(self.size)
        for row, values in zip(rows, as_floats, strict=True):
            length = lengths[row]
            place = _Place(self.size, length, states.dtype)
            self.places[keys[row]] = place
            data = np.ascontiguousarray(values[:length]).tobytes()
            self.size += self.file.write(data)
        self.file.flush()

    def _lower_layers(
        self,
        inputs: dict[str, Any],
        rows: Sequence[int],
    ) -> Float[Tensor, "row token dim"]:
        """Output of the lower layers for some of the rows."""
        documents = inputs["input_ids"].shape[:1]
        chosen = dict(inputs)
        for name, value in inputs.items():
            if isinstance(value, Tensor) and value.shape[:1] == documents:
                chosen[name] = value[rows]
        self.recording = True
        try:
            with torch.no_grad():
                self.whole_forward(**chosen)
        except _Recorded:
            pass
        finally:
            self.recording = False
        states = self.recorded
        self.recorded = None
        assert states is not None
        return states

    def _read(
        self,
        keys: Sequence[bytes],
        ids: Int[Tensor, "doc token"],
    ) -> Float[Tensor, "doc token dim"]:
        """The rows' hidden states; zeros in the padding, which no token attends to."""
        dim = int(self.transformer.config.hidden_size)
        states = np.zeros((*ids.shape, dim), np.float32)
        for row, key in zip(states, keys, strict=True):
            place = self.places[key]
            self.file.seek(place.offset)
            data = self.file.read(place.tokens * dim * FLOAT_BYTES)
            values = np.frombuffer(data, np.float32)
            row[: place.tokens] = values.reshape(place.tokens, dim)
        dtype = self.places[keys[0]].dtype
        return torch.from_numpy(states).to(ids.device, dtype)


def _is_padded_right(mask: Int[Tensor, "doc token"]) -> bool:
    """Whether every row is ones, then zeros: [1, 1, 0], and not [0, 1, 1] or [1, 0, 1]."""
    left = mask[:, :-1]
    right = mask[:, 1:]
    never_rises = bool((right <= left).all())
    starts_with_text = bool(mask[:, 0].all())
    return never_rises and starts_with_text
