"""ONNX: one graph from tokens to the embedding of a text, for any model, with or without experts.

torch writes it (its dynamo exporter) and onnxruntime runs it. sentence-transformers would export
through optimum-onnx, whose version 0.1.0 does not accept transformers 5. A graph has fixed shapes,
so it evaluates all experts and picks those of the gate afterwards.
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

GRAPH_FILE = Path("onnx") / "model.onnx"
"""Where sentence-transformers and optimum look for the graph."""

EXAMPLE_TEXTS = ("What is it?", "A short passage that says what it is, and a little more.")
"""Texts that the exporter follows through the model: two, and of different lengths."""

OUTPUT_NAMES = ("last_hidden_state", "sentence_embedding")


def write_onnx(model: "SentenceTransformer", folder: Path) -> Path:
    """Write `onnx/model.onnx` into a folder, and return its path.

    The graph takes token ids and mask, (doc, token), and gives `last_hidden_state`, (doc, token,
    dim), and `sentence_embedding`, (doc, dim). Both axes of the inputs may have any size.
    """
    import torch

    class Graph(torch.nn.Module):
        """The model with its inputs by position, as the exporter wants them."""

        def __init__(self, input_names: Sequence[str]) -> None:
            super().__init__()
            self.model = model
            self.input_names = input_names

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = dict(zip(self.input_names, tensors, strict=True))
            outputs = self.model(features)
            return outputs["token_embeddings"], outputs["sentence_embedding"]

    features = _features(model, EXAMPLE_TEXTS, "document")
    input_names = list(features)
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    shapes_of_inputs = tuple(any_size for _ in features)

    # The exporter logs packages that are not needed here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its future
        program = torch.onnx.export(
            Graph(input_names).eval(),
            tuple(features.values()),
            dynamo=True,
            verbose=False,
            input_names=input_names,
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes=(shapes_of_inputs,),
        )
    assert program is not None
    path = folder / GRAPH_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(str(path))
    return path


def onnx_vectors(
    model: "SentenceTransformer", folder: Path, texts: Sequence[str], task: Task
) -> Vectors:
    """Embeddings of texts by the graph in `folder`: (doc, dim).

    The model gives its prompts and its tokenizer only.
    """
    from onnxruntime import InferenceSession

    session = InferenceSession(str(folder / GRAPH_FILE), providers=["CPUExecutionProvider"])
    vectors: list[Any] = []
    for text in texts:
        features = _features(model, [text], task)
        arrays = {name: tensor.numpy() for name, tensor in features.items()}
        (embedding,) = session.run(["sentence_embedding"], arrays)
        vectors.append(embedding)
    return np.concatenate(vectors)


def _features(model: "SentenceTransformer", texts: Sequence[str], task: Task) -> dict[str, Any]:
    """The model's input tensors of texts, (doc, token); scalars among its features are left out."""
    features = tokenise(model, texts, task)
    shape = features["input_ids"].shape
    tensors = {}
    for name, value in features.items():
        if getattr(value, "shape", None) == shape:
            tensors[name] = value.cpu()
    return tensors
