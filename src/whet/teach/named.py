"""Teachers by name: what a recipe writes, and the teacher that it means."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from whet.artifacts import read_json, source_digest
from whet.errors import ConfigError
from whet.records import Collection, Encoder, Teacher
from whet.servers import check_address
from whet.teach.lexical import Bm25Teacher
from whet.teach.outside import KEY, EndpointTeacher, FileTeacher

KNOWN = ("base", "bm25", "bm25-characters")
KINDS = ("bi", "cross", "sparse", "late")
FORMS = (
    "base (the model as it is), bm25, bm25-characters, a sentence-transformers model (a folder or hub id; where its "
    f"folder does not say what it is, with {', '.join(f'{kind}:' for kind in KINDS)} before it), file:PATH (scores), "
    "or openai:MODEL, openai:MODEL@URL (embeddings from a server)"
)


def teacher_of(name: str, collection: Collection, base: Encoder) -> Teacher:
    """The teacher that a name means; FORMS says what names there are.

    `base` is the model that is to be trained. Raises ConfigError when the name means nothing.
    """
    from whet.teach.models import VectorTeacher

    kind, _, rest = name.partition(":")
    if name == "base":
        return VectorTeacher(base, collection, name)
    if name in ("bm25", "bm25-characters"):
        texts = [passage.content for passage in collection.passages.values()]
        return Bm25Teacher(texts, "words" if name == "bm25" else "characters")
    check_teacher_name(name)
    if kind == "file":
        return FileTeacher(Path(rest), collection)
    if kind == "openai" and rest:
        model, _, url = rest.partition("@")
        return EndpointTeacher(model, url or None)
    return _model_teacher(name, *((kind, rest) if kind in KINDS and rest else (None, name)))


def check_teacher_name(name: str) -> None:
    """Raise ConfigError for what can name no teacher: nothing known, no file, folder or hub id; and for keys in it."""
    kind, _, rest = name.partition(":")
    if kind == "openai" and rest:
        model, _, url = rest.partition("@")
        check_address(model, url, KEY)
        return
    known = name in KNOWN or (kind == "file" and Path(rest).is_file())
    model = rest if kind in KINDS else name
    if known or (kind != "file" and (Path(model).is_dir() or model.count("/") == 1)):
        return
    close = get_close_matches(name, KNOWN, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(
        f"teacher {name!r}: there is no such teacher, file or folder.{meant} Expected {FORMS}."
    )


def teacher_digest(name: str) -> str:
    """Hash of the files that a teacher of this name is read from; "" where it is from none."""
    kind, _, rest = name.partition(":")
    return source_digest(rest if kind in (*KINDS, "file") else name)


def _model_teacher(name: str, kind: str | None, model: str) -> Teacher:
    from sentence_transformers import (
        CrossEncoder,
        MultiVectorEncoder,
        SentenceTransformer,
        SparseEncoder,
    )

    from whet.teach.models import CrossEncoderTeacher, EmbeddingTeacher

    classes: dict[str, Any] = {
        "bi": SentenceTransformer,
        "cross": CrossEncoder,
        "sparse": SparseEncoder,
        "late": MultiVectorEncoder,
    }
    try:
        kind = kind or kind_of(model)
        loaded = classes[kind](model)
        return (
            CrossEncoderTeacher(loaded, name) if kind == "cross" else EmbeddingTeacher(loaded, name)
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"teacher {name!r} cannot be loaded: {error}. Expected {FORMS}."
        ) from error


def kind_of(model: str) -> str:
    """What a saved model is, one of KINDS, by its own configuration; a bi-encoder where that says nothing."""
    from sentence_transformers.util import load_file_path

    said = load_file_path(model, "config_sentence_transformers.json")
    found = read_json(Path(said)).get("model_type") if said else None
    if found in (
        by_type := dict(
            zip(("CrossEncoder", "SparseEncoder", "MultiVectorEncoder"), KINDS[1:], strict=True)
        )
    ):
        return by_type[found]
    config = load_file_path(model, "config.json")
    classes = read_json(Path(config)).get("architectures") or [] if config and not said else []
    return "cross" if any(name.endswith("ForSequenceClassification") for name in classes) else "bi"
