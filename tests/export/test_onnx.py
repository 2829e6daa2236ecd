import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tiny import WORDS
from whet.evaluate.verdict import assess
from whet.export.card import ModelOrigin
from whet.export.folder import export_model
from whet.export.onnx import onnx_vectors, write_onnx
from whet.models import load_model

TEXTS = [" ".join(WORDS[start : start + length]) for start, length in ((0, 1), (5, 9), (20, 80))]


@pytest.fixture(scope="module")
def exported(model_dir, tmp_path_factory):
    """A dense model with its graph."""
    evaluation = assess({"q": {"a": 1}}, {}, {}, {}, np.random.default_rng(0))
    origin = ModelOrigin("tiny", "notes", {}, evaluation)
    out = tmp_path_factory.mktemp("onnx") / "out"
    return export_model(model_dir, out, origin=origin, formats=("st", "onnx"))


def test_the_graph_gives_the_vectors_of_the_model_prompts_included(exported):
    model = SentenceTransformer(str(exported), device="cpu")
    queries = onnx_vectors(model, exported, TEXTS, "query")
    passages = onnx_vectors(model, exported, TEXTS, "document")
    np.testing.assert_allclose(queries, model.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(passages, model.encode_document(TEXTS), atol=1e-5)
    assert np.abs(queries - passages).max() > 1e-3, "the prompt does something"


def test_card_and_checksums_name_the_graph(exported):
    assert "`onnx/model.onnx` is the model as one graph" in (exported / "README.md").read_text()
    assert "onnx/model.onnx" in (exported / "SHA256SUMS").read_text()


@pytest.mark.slow
def test_the_graph_of_a_model_with_experts_gives_its_vectors(experts_dir, tmp_path):
    model = load_model(str(experts_dir), device="cpu")
    write_onnx(model, tmp_path)
    vectors = onnx_vectors(model, tmp_path, TEXTS, "query")
    np.testing.assert_allclose(vectors, model.encode_query(TEXTS), atol=1e-5)
