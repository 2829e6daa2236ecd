"""Hand on a tuned model: a folder that SentenceTransformer(path) loads, with a card, checksums and proof that it loads.

OpenVINO goes through sentence-transformers' own backend, ONNX through torch's exporter (`whet.export.onnx`).
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from whet.artifacts import MANIFEST, read_json, write_text
from whet.errors import ArtifactError, ConfigError, require
from whet.export.card import ModelFacts, Origin, render_card
from whet.records import Vectors
from whet.search.vectors import normalised

Format: TypeAlias = Literal["st", "openvino", "onnx"]

CHECKSUMS = "SHA256SUMS"
PROBES = (
    "What is it?",
    "A short passage that says what it is.",
    "Größe: 3 µm, 東京. " + "And on it goes, word by word. " * 40,
)
"""Texts that are encoded before and after, to see that nothing was lost on the way."""

TOLERANCE: dict[Format, float] = {"st": 1e-6, "openvino": 1e-3, "onnx": 1e-5}
"""Largest 1 - cosine between a probe's vectors before and after; OpenVINO computes in bfloat16 where the CPU can."""


def export_model(
    model_dir: Path,
    out: Path,
    *,
    origin: Origin,
    name: str | None = None,
    formats: Sequence[Format] = ("st",),
) -> Path:
    """Write `out`: the model in sentence-transformers' format and every other one asked for, its card, SHA256SUMS.

    `name` is what the card calls the model, by default the name of `out`. The folder appears whole or not at all, and
    only once the model has been loaded from it again and has given the same vectors as the one in `model_dir`.
    Raises ConfigError on an unknown format or when `out` holds something that whet did not export, MissingExtra when a
    format's extra is not installed, ArtifactError when vectors differ.
    """
    others, out = _others(formats), out.resolve()
    if out.is_file():
        raise ConfigError(f"{out}: is a file; name a folder that is new or empty")
    if out.exists() and (strange := _not_exported(out)):
        what = f"holds {strange[0]}, which is of no export of whet's"
        raise ConfigError(f"{out}: {what}; name a folder that is new or empty, or move it away")
    if "openvino" in others and _has_experts(model_dir):
        raise ConfigError(
            f"{model_dir}: a model with experts has no OpenVINO form; use --merge, or --format onnx"
        )
    aside = out.with_name(out.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _write(model_dir, aside, origin, name or out.name, others)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    return aside.rename(out)


def _write(
    model_dir: Path, aside: Path, origin: Origin, name: str, others: Sequence[Format]
) -> None:
    """Fill the folder `aside`: model, other formats, card, checksums; proven to give the same vectors."""
    shutil.copytree(model_dir, aside, ignore=shutil.ignore_patterns("README.md", MANIFEST))
    model = _load(model_dir)
    expected = _vectors(model)
    if "openvino" in others:
        _load(aside, "openvino").save_pretrained(str(aside))
    if "onnx" in others:
        from whet.export.onnx import write_onnx

        write_onnx(_load(aside), aside)
    facts = ModelFacts(
        model.get_embedding_dimension(),
        model.max_seq_length,
        model.similarity_fn_name,
        _has_experts(model_dir),
    )
    write_text(aside / "README.md", render_card(name, origin, facts, others))
    for form in ("st", *others):
        found = _onnx_vectors(model, aside) if form == "onnx" else _vectors(_load(aside, form))
        _check_same(expected, found, form, model_dir)
    for file in filter(Path.is_file, aside.rglob("*")):
        file.chmod(
            0o644
        )  # safetensors leaves its files to their owner alone; a server may be another user
    aside.chmod(0o755)
    write_text(aside / CHECKSUMS, checksums(aside))


def _not_exported(folder: Path) -> list[str]:
    """What lies in a folder and is not in its list of checksums, so that another export may not take its place."""
    listed = folder / CHECKSUMS
    lines = (
        listed.read_text(encoding="utf-8", errors="replace").splitlines()
        if listed.is_file()
        else []
    )
    known = {CHECKSUMS, *(line.partition("  ")[2] for line in lines)}
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(file for file in files if file not in known)


def checksums(folder: Path) -> str:
    """Give the SHA-256 of every file below a folder, as `sha256sum -c` reads them: hash, two spaces, path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS)
    return "".join(f"{_sha256(p)}  {p.relative_to(folder).as_posix()}\n" for p in files)


def _others(formats: Sequence[Format]) -> list[Format]:
    """Check the formats; give those beside sentence-transformers' own."""
    if unknown := [name for name in formats if name not in get_args(Format)]:
        raise ConfigError(
            f"no format is called {unknown[0]!r}; whet writes {', '.join(get_args(Format))}"
        )
    if "openvino" in formats:
        require("optimum.intel", "openvino")
    for module in ("onnxscript", "onnxruntime") if "onnx" in formats else ():
        require(module, "onnx")
    return [name for name in dict.fromkeys(formats) if name != "st"]


def _load(folder: Path, backend: Format = "st") -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    import whet.moe  # noqa: F401 - so that models with experts load as others do

    logging.disable_progress_bar()
    return SentenceTransformer(
        str(folder), device="cpu", backend="torch" if backend == "st" else backend
    )


def _vectors(model: Any) -> Vectors:
    """Encode the probes as queries and as passages: (2 * probes, dim) float32."""
    how = {"batch_size": 1, "show_progress_bar": False, "normalize_embeddings": True}
    return np.concatenate(
        [model.encode_query(list(PROBES), **how), model.encode_document(list(PROBES), **how)]
    )


def _onnx_vectors(model: Any, folder: Path) -> Vectors:
    """Encode the probes by the ONNX graph, as `_vectors` does: (2 * probes, dim) float32."""
    from whet.export.onnx import onnx_vectors

    found = np.concatenate(
        [onnx_vectors(model, folder, PROBES, task) for task in ("query", "document")]
    )
    return normalised(found)


def _has_experts(model_dir: Path) -> bool:
    config = model_dir / "config.json"
    return config.is_file() and read_json(config).get("model_type") == "whet_moe"


def _check_same(expected: Vectors, found: Vectors, backend: Format, model_dir: Path) -> None:
    cosines = np.einsum("ij,ij->i", expected, found, dtype=np.float64)
    if not (difference := float(1 - cosines.min())) <= TOLERANCE[backend]:
        raise ArtifactError(
            f"{model_dir}: exported as {backend} it gives other vectors than before (1 - cosine is {difference:.1e},"
            f" expected at most {TOLERANCE[backend]:.0e}). Nothing was written; export without this format."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
