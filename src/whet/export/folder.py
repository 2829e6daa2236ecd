"""Export a tuned model to a folder that SentenceTransformer(path) loads, with a card and checksums.

The exported model is loaded again and must give the same vectors. OpenVINO goes through the
backend of sentence-transformers, ONNX through torch's exporter (`whet.export.onnx`).
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from whet.errors import ArtifactError, ConfigError, require
from whet.export.card import ModelFacts, ModelOrigin, render_card
from whet.files import MANIFEST, read_json, write_text
from whet.models import load_model
from whet.records import Vectors
from whet.search.vectors import normalised

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Format: TypeAlias = Literal["st", "openvino", "onnx"]

CARD = "README.md"
CHECKSUMS = "SHA256SUMS"
NOT_COPIED = (CARD, MANIFEST)  # from the run: the export gets a card of its own
FILE_MODE = 0o644
FOLDER_MODE = 0o755

PROBES = (
    "What is it?",
    "A short passage that says what it is.",
    "Größe: 3 µm, 東京. " + "And on it goes, word by word. " * 40,
)
"""Texts that are encoded before and after: a short one, a passage, and one that is cut."""

TOLERANCE: dict[Format, float] = {"st": 1e-6, "openvino": 1e-3, "onnx": 1e-5}
"""Largest 1 − cosine between a probe's vectors before and after.

OpenVINO computes in bfloat16 where the processor can.
"""


def export_model(
    model_dir: Path,
    out: Path,
    *,
    origin: ModelOrigin,
    name: str | None = None,
    formats: Sequence[Format] = ("st",),
) -> Path:
    """Write the model to `out`, in the format of sentence-transformers and in `formats`.

    A card and SHA256SUMS are written beside it. `name` is the model's name on the card, by default
    the name of `out`. The folder appears whole or not at all, and only when the exported model has
    given the same vectors as the one in `model_dir`.

    Raises ConfigError on an unknown format, or when `out` holds something that whet did not export;
    MissingExtra when a format's extra is not installed; ArtifactError when vectors differ.
    """
    other_formats = _check_formats(formats)
    if "openvino" in other_formats and _has_experts(model_dir):
        raise ConfigError(
            f"{model_dir}: OpenVINO cannot hold a model with experts; use --merge, or --format onnx"
        )
    out = out.resolve()
    _check_out(out)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(model_dir, partial, origin, name or out.name, other_formats)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    return partial.rename(out)


def _check_formats(formats: Sequence[Format]) -> list[Format]:
    """Return the formats beside that of sentence-transformers; raise for one that cannot be had."""
    known = get_args(Format)
    for name in formats:
        if name not in known:
            raise ConfigError(f"no format is called {name!r}; whet writes {', '.join(known)}")
    if "openvino" in formats:
        require("optimum.intel", "openvino")
    if "onnx" in formats:
        require("onnxscript", "onnx")
        require("onnxruntime", "onnx")
    return [name for name in dict.fromkeys(formats) if name != "st"]


def _check_out(out: Path) -> None:
    """Raise ConfigError where an export would replace something that is no export."""
    if out.is_file():
        raise ConfigError(f"{out} is a file; name a folder that is new or empty")
    if not out.exists():
        return
    foreign = _files_not_exported(out)
    if foreign:
        raise ConfigError(
            f"{out} holds {foreign[0]}, which whet did not export; "
            "name a folder that is new or empty, or move the file away"
        )


def _files_not_exported(folder: Path) -> list[str]:
    """Files below a folder that its checksums do not list."""
    exported = {CHECKSUMS}
    sums = folder / CHECKSUMS
    if sums.is_file():
        for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
            _, _, file = line.partition("  ")
            exported.add(file)
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    files = [path.relative_to(folder).as_posix() for path in paths]
    return sorted(file for file in files if file not in exported)


def _write(
    model_dir: Path,
    folder: Path,
    origin: ModelOrigin,
    name: str,
    other_formats: Sequence[Format],
) -> None:
    """Fill `folder` with the model, its other formats, card and checksums, and compare vectors."""
    shutil.copytree(model_dir, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    model = _load(model_dir)
    if "openvino" in other_formats:
        _load_openvino(folder).save_pretrained(str(folder))
    if "onnx" in other_formats:
        from whet.export.onnx import write_onnx

        write_onnx(_load(folder), folder)

    facts = ModelFacts(
        dim=model.get_embedding_dimension(),
        tokens=model.max_seq_length,
        similarity=model.similarity_fn_name,
        experts=_has_experts(model_dir),
    )
    write_text(folder / CARD, render_card(name, origin, facts, other_formats))

    expected = _probe_vectors(model)
    _check_same(expected, _probe_vectors(_load(folder)), "st", model_dir)
    if "openvino" in other_formats:
        _check_same(expected, _probe_vectors(_load_openvino(folder)), "openvino", model_dir)
    if "onnx" in other_formats:
        _check_same(expected, _onnx_probe_vectors(model, folder), "onnx", model_dir)

    _make_readable(folder)
    write_text(folder / CHECKSUMS, checksums(folder))


def _load(folder: Path) -> "SentenceTransformer":
    return load_model(str(folder), device="cpu")


def _load_openvino(folder: Path) -> "SentenceTransformer":
    """Load the model through OpenVINO, which converts it where the folder has no such form yet."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", backend="openvino")


def _probe_vectors(model: "SentenceTransformer") -> Vectors:
    """Encode the probes as queries and as passages: (2 * probes, dim) float32, of length 1."""
    probes = list(PROBES)
    options = {"batch_size": 1, "show_progress_bar": False, "normalize_embeddings": True}
    queries = model.encode_query(probes, **options)
    passages = model.encode_document(probes, **options)
    return np.concatenate([queries, passages])


def _onnx_probe_vectors(model: "SentenceTransformer", folder: Path) -> Vectors:
    """Encode the probes by the ONNX graph, as `_probe_vectors` does."""
    from whet.export.onnx import onnx_vectors

    queries = onnx_vectors(model, folder, PROBES, "query")
    passages = onnx_vectors(model, folder, PROBES, "document")
    return normalised(np.concatenate([queries, passages]))


def _check_same(expected: Vectors, actual: Vectors, form: Format, model_dir: Path) -> None:
    """Raise ArtifactError where the cosine of two rows is too small, or is no number."""
    cosines = np.einsum("ij,ij->i", expected, actual, dtype=np.float64)
    difference = float(1 - cosines.min())
    is_same = difference <= TOLERANCE[form]  # false for NaN
    if not is_same:
        raise ArtifactError(
            f"{model_dir}: exported as {form} it gives other vectors than before (1 − cosine is "
            f"{difference:.1e}, expected at most {TOLERANCE[form]:.0e}). Nothing was written; "
            "export without this format."
        )


def _has_experts(model_dir: Path) -> bool:
    config = model_dir / "config.json"
    return config.is_file() and read_json(config).get("model_type") == "whet_moe"


def _make_readable(folder: Path) -> None:
    """Let every user read the files: safetensors writes some for their owner alone."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(FILE_MODE)
    folder.chmod(FOLDER_MODE)


def checksums(folder: Path) -> str:
    """The SHA-256 of every file below a folder, as `sha256sum --check` reads them.

    A line is the hash, two spaces, and the path.
    """
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CHECKSUMS:
            file = path.relative_to(folder).as_posix()
            lines.append(f"{_sha256(path)}  {file}\n")
    return "".join(lines)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
