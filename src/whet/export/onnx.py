"""ONNX: one graph from tokens to sentence embedding, for any model, with or without experts.

torch writes it (its dynamo exporter) and onnxruntime runs it: optimum-onnx (0.1.0), through which sentence-transformers
would export, does not accept transformers 5. Experts are all evaluated and the gate's choice taken from them, for a
graph has fixed shapes.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whet.encoder.tokens import Task, tokenise
from whet.records import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PLACE = Path("onnx") / "model.onnx"
"""Where sentence-transformers and optimum look for the graph."""

EXAMPLE = ("What is it?", "A short passage that says what it is, and a little more.")


def write_onnx(model: "SentenceTransformer", folder: Path) -> Path:
    """Write `onnx/model.onnx`: token ids and mask in; `last_hidden_state` and `sentence_embedding` out."""
    import torch

    class Graph(torch.nn.Module):
        """The whole model with its inputs by position."""

        def __init__(self, names: Sequence[str]) -> None:
            super().__init__()
            self.model, self.names = model, names

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out = self.model(dict(zip(self.names, tensors, strict=True)))
            return out["token_embeddings"], out["sentence_embedding"]

    features = _features(model, EXAMPLE, "document")
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    path = folder / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # it tells of packages that are not needed
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its future
        program = torch.onnx.export(
            Graph(list(features)).eval(),
            tuple(features.values()),
            dynamo=True,
            verbose=False,
            input_names=list(features),
            output_names=["last_hidden_state", "sentence_embedding"],
            dynamic_shapes=(tuple(free for _ in features),),
        )
    assert program is not None
    program.save(str(path))
    return path


def onnx_vectors(
    model: "SentenceTransformer", folder: Path, texts: Sequence[str], task: Task
) -> Vectors:
    """Embeddings of texts by the graph in `folder`: (doc, dim); the model's part is its prompts and its tokenizer."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(folder / PLACE), providers=["CPUExecutionProvider"])
    found: list[Any] = []
    for text in texts:
        features = {name: value.numpy() for name, value in _features(model, [text], task).items()}
        found.append(session.run(["sentence_embedding"], features)[0])
    return np.concatenate(found)


def _features(model: "SentenceTransformer", texts: Sequence[str], task: Task) -> dict[str, Any]:
    """The tensors of shape (doc, token) that texts become."""
    features = tokenise(model, texts, task)
    shape = features["input_ids"].shape
    return {
        name: value.cpu()
        for name, value in features.items()
        if getattr(value, "shape", None) == shape
    }
