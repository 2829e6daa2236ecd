"""Hidden states below the first layer that trains, kept on disk: what runs there gives the same every time.

With frozen lower layers, a text's hidden states at the boundary never change. They are computed when a text is first
seen; from then on training, mining anew and evaluation run the upper layers only. The cache stands in the transformers
model's own `forward`, so nobody above it knows.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
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
from whet.progress import say

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SHARE_OF_DISK = 0.25  # of what is free
SAMPLE = 2000  # texts whose tokens are counted for the estimate
FLOAT = 4  # bytes
PRECISIONS = 2  # dev is scored in full precision, training may run in another


def frozen_below(model: nn.Module) -> int:
    """The number of lowest layers in and under which nothing trains; 0 where there is nothing to keep.

    Layers with experts count as trained, for their routers' scores belong to the loss.
    """
    try:
        inside, layers = backbone(model), blocks(backbone(model))
    except ConfigError:  # no transformer, or several
        return 0
    of_layers = {id(weight) for layer in layers for weight in layer.parameters()}
    if any(weight.requires_grad for weight in inside.parameters() if id(weight) not in of_layers):
        return 0
    moving = [
        any(weight.requires_grad for weight in layer.parameters()) or expert_layers(layer)
        for layer in layers
    ]
    return next((at for at, moves in enumerate(moving) if moves), 0)


@contextmanager
def prefix_cache(
    model: "SentenceTransformer", texts: Sequence[str], passes: float, folder: Path
) -> Iterator[None]:
    """Keep what the frozen lower layers give, where that pays: a text is read more than once, and there is room.

    `texts` are those to be read, `passes` how often each is. The file lies in `folder` and is deleted at the end.
    """
    below, hidden = frozen_below(model), getattr(getattr(model, "config", None), "hidden_size", 0)
    if not below or passes <= 1 or not _can_keep(model):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    size, free = _tokens(model, texts) * hidden * FLOAT, shutil.disk_usage(folder).free
    outputs = f"outputs of {below} frozen layers (of {len(blocks(backbone(model)))})"
    if size > SHARE_OF_DISK * free:
        say(
            f"not caching {outputs}: they would take {size / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free"
        )
        yield
        return
    say(f"caching {outputs} in {folder}, about {max(1, size >> 20):,} MiB, deleted after training")
    with PrefixCache(
        model, below, folder / "hidden.f32", min(int(SHARE_OF_DISK * free), PRECISIONS * size)
    ):
        yield


def _can_keep(model: "SentenceTransformer") -> bool:
    """Whether lower layers give the same for a text every time, and nobody above reads more than their last output."""
    drops = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    reads_all = getattr(backbone(model).config, "output_hidden_states", False)
    return not drops and not reads_all and getattr(model.tokenizer, "padding_side", "") == "right"


def _tokens(model: "SentenceTransformer", texts: Sequence[str]) -> int:
    """About how many tokens of the texts the model reads."""
    some = texts[:: max(1, len(texts) // SAMPLE)]
    read = np.minimum(token_lengths(model, some), model.max_seq_length or 10**9)
    return int(read.mean() * len(texts)) if len(read) else 0


class _Recorded(Exception):
    """Ends a pass whose upper layers are not wanted."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a text's hidden states lie in the file, and their type."""

    offset: int
    tokens: int
    dtype: torch.dtype


class PrefixCache:
    """Within a `with`, the lowest `below` layers run once for every distinct text; then their output is read back.

    Texts are told apart by their tokens, and by the precision in force. Rows must be padded on the right; features
    without rows, what comes when the file holds `most` bytes, and models whose layers hand on more than hidden states
    run through all layers as ever. Not for layers that drop out, nor for several threads.
    """

    def __init__(self, model: nn.Module, below: int, path: Path, most: int) -> None:
        self.inside, self.layers = backbone(model), blocks(backbone(model))[:below]
        self.path, self.most, self.end = path, most, 0
        self.kept: dict[bytes, _Kept] = {}
        self.found: Float[Tensor, "doc token dim"] | None = None  # of the rows at hand
        self.recorded: Float[Tensor, "doc token dim"] | None = None
        self.recording = self.tuples = self.closed = False

    def __enter__(self) -> "PrefixCache":
        self.file = self.path.open("w+b")
        self.real = [layer.forward for layer in self.layers]
        for at, layer in enumerate(self.layers):
            layer.forward = partial(self._layer, at)
        self.whole = self.inside.forward
        self.inside.forward = self._forward
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module in (self.inside, *self.layers):
            del module.forward  # what the class has stands again
        self.file.close()
        self.path.unlink()

    def _forward(self, *args: Any, **inputs: Any) -> Any:
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        if (
            args
            or self.closed
            or ids is None
            or mask is None
            or mask.ndim != 2
            or not _padded_right(mask)
        ):
            return self.whole(*args, **inputs)
        lengths = mask.sum(dim=1).tolist()
        keys = list(self._keys(inputs, ids.shape, lengths))
        self._record(inputs, keys, lengths)
        if self.closed or not all(key in self.kept for key in keys):  # or the file is full
            return self.whole(**inputs)
        self.found = self._read(keys, ids)
        try:
            return self.whole(**inputs)
        finally:
            self.found = None

    def _layer(self, at: int, hidden: Any, *args: Any, **others: Any) -> Any:
        """In place of a lower layer's forward: pass on, or at the boundary bring in what was kept."""
        last = at == len(self.layers) - 1
        if self.found is not None:
            given = self.found if last else hidden
            return (given,) if self.tuples else given
        given = self.real[at](hidden, *args, **others)
        if self.recording and last:
            self.tuples = isinstance(given, tuple)
            self.closed = self.tuples and len(given) > 1
            self.recorded = given[0] if self.tuples else given
            raise _Recorded
        return given

    def _keys(
        self, inputs: dict[str, Any], shape: torch.Size, lengths: Sequence[int]
    ) -> Iterable[bytes]:
        """What a row's hidden states depend on: all that is given token by token, and the precision in force."""
        device = inputs["input_ids"].device.type
        mode = str(torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else "")
        rows = [
            value.cpu().numpy()
            for value in inputs.values()
            if isinstance(value, Tensor) and value.shape == shape
        ]
        for at, length in enumerate(lengths):
            seen = hashlib.blake2b(mode.encode(), digest_size=16)
            for value in rows:
                seen.update(np.ascontiguousarray(value[at, :length]).tobytes())
            yield seen.digest()

    def _record(
        self, inputs: dict[str, Any], keys: Sequence[bytes], lengths: Sequence[int]
    ) -> None:
        """Run the lower layers over the rows that are not known yet, and keep what they give."""
        new = list({key: at for at, key in enumerate(keys) if key not in self.kept}.values())
        if not new or self.end >= self.most:
            return
        shape = inputs["input_ids"].shape
        rows = {
            name: value[new]
            if isinstance(value, Tensor) and value.shape[:1] == shape[:1]
            else value
            for name, value in inputs.items()
        }
        self.recording = True
        try:
            with torch.no_grad():
                self.whole(**rows)
        except _Recorded:
            pass
        finally:
            self.recording = False
        assert self.recorded is not None
        dtype = self.recorded.dtype
        states = self.recorded.float().cpu().numpy()
        self.recorded = None
        self.file.seek(self.end)
        for row, at in zip(states, new, strict=True):
            self.kept[keys[at]] = _Kept(self.end, lengths[at], dtype)
            self.end += self.file.write(np.ascontiguousarray(row[: lengths[at]]).tobytes())
        self.file.flush()

    def _read(
        self, keys: Sequence[bytes], ids: Int[Tensor, "doc token"]
    ) -> Float[Tensor, "doc token dim"]:
        """The rows' hidden states; zeros in the padding, which nobody attends to."""
        dim = int(self.inside.config.hidden_size)
        found = np.zeros((*ids.shape, dim), np.float32)
        for row, key in zip(found, keys, strict=True):
            place = self.kept[key]
            self.file.seek(place.offset)
            data = self.file.read(place.tokens * dim * FLOAT)
            row[: place.tokens] = np.frombuffer(data, np.float32).reshape(place.tokens, dim)
        return torch.from_numpy(found).to(ids.device, self.kept[keys[0]].dtype)


def _padded_right(mask: Int[Tensor, "doc token"]) -> bool:
    return bool((mask[:, 1:] <= mask[:, :-1]).all()) and bool(mask[:, 0].all())
