"""Teachers by name: what a recipe may contain, and the teacher that a name stands for."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from whet.errors import ConfigError
from whet.files import read_json, source_digest
from whet.records import Collection, Encoder, Teacher
from whet.servers import check_address
from whet.teach.lexical import Bm25Teacher
from whet.teach.outside import API_KEY_VARIABLE, EndpointTeacher, FileTeacher

BUILT_IN = ("base", "bm25", "bm25-characters")
KINDS = ("bi", "cross", "sparse", "late")
KIND_OF_TYPE = {"CrossEncoder": "cross", "SparseEncoder": "sparse", "MultiVectorEncoder": "late"}

FORMS = (
    "base (the model as it is), bm25, bm25-characters, a sentence-transformers model (a folder or "
    "hub id; where its folder does not say what it is, with bi:, cross:, sparse:, late: before "
    "it), file:PATH (scores), or openai:MODEL, openai:MODEL@URL (embeddings from a server)"
)


def teacher_of(name: str, collection: Collection, base: Encoder) -> Teacher:
    """The teacher that a name stands for; FORMS lists the names.

    `base` is the model that is to be trained. Raises ConfigError for a name that means nothing.
    """
    from whet.teach.models import VectorTeacher

    if name == "base":
        return VectorTeacher(base, collection, name)
    if name in ("bm25", "bm25-characters"):
        texts = [passage.content for passage in collection.passages.values()]
        return Bm25Teacher(texts, "words" if name == "bm25" else "characters")

    check_teacher_name(name)
    kind, _, rest = name.partition(":")
    if kind == "file":
        return FileTeacher(Path(rest), collection)
    if kind == "openai" and rest:
        model, _, url = rest.partition("@")
        return EndpointTeacher(model, url or None)
    if kind in KINDS and rest:
        return _model_teacher(name, kind, rest)
    return _model_teacher(name, None, name)


def check_teacher_name(name: str) -> None:
    """Raise ConfigError for a name that cannot mean a teacher, and for an API key in an address.

    A name can mean a teacher when it is built in, an existing file or folder, or has the form of a
    hub id. Nothing is loaded.
    """
    kind, _, rest = name.partition(":")
    if kind == "openai" and rest:
        model, _, url = rest.partition("@")
        check_address(model, url, API_KEY_VARIABLE)
        return

    if name in BUILT_IN:
        return
    if kind == "file":
        if Path(rest).is_file():
            return
    else:
        model = rest if kind in KINDS else name
        looks_like_hub_id = model.count("/") == 1
        if looks_like_hub_id or Path(model).is_dir():
            return

    close = get_close_matches(name, BUILT_IN, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(
        f"teacher {name!r}: there is no such teacher, file or folder.{hint} Expected {FORMS}."
    )


def teacher_digest(name: str) -> str:
    """Hash of the file or folder that a teacher is read from; "" where it is read from neither."""
    kind, _, rest = name.partition(":")
    return source_digest(rest if kind in (*KINDS, "file") else name)


def _model_teacher(name: str, kind: str | None, model: str) -> Teacher:
    """Load a sentence-transformers model; `kind` is one of KINDS, None where it is to be found."""
    from sentence_transformers import (
        CrossEncoder,
        MultiVectorEncoder,
        SentenceTransformer,
        SparseEncoder,
    )

    from whet.teach.models import CrossEncoderTeacher, EmbeddingTeacher

    embedders: dict[str, Any] = {
        "bi": SentenceTransformer,
        "sparse": SparseEncoder,
        "late": MultiVectorEncoder,
    }
    try:
        if kind is None:
            kind = kind_of(model)
        if kind == "cross":
            return CrossEncoderTeacher(CrossEncoder(model), name)
        embedder = embedders[kind]
        return EmbeddingTeacher(embedder(model), name)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"teacher {name!r} cannot be loaded: {error}. Expected {FORMS}."
        ) from error


def kind_of(model: str) -> str:
    """Which of KINDS a saved model is, by its own configuration.

    It is a bi-encoder where the configuration does not tell.
    """
    from sentence_transformers.util import load_file_path

    path = load_file_path(model, "config_sentence_transformers.json")
    if path:
        model_type = read_json(Path(path)).get("model_type")
        return KIND_OF_TYPE.get(model_type, "bi")

    # A plain transformers model: one with a classification head is a cross-encoder.
    path = load_file_path(model, "config.json")
    architectures = (read_json(Path(path)).get("architectures") or []) if path else []
    for architecture in architectures:
        if architecture.endswith("ForSequenceClassification"):
            return "cross"
    return "bi"
