"""Models in folders, as a train stage leaves them."""

import pytest
import torch
from sentence_transformers import SentenceTransformer

from tiny import tiny_bert
from whet.moe.upcycle import backbone, expert_layers, upcycle


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A model with a prompt, which is what an export loses most easily, and files of a run."""
    prompts = {"query": "ba de: ", "document": ""}
    folder = tiny_bert(
        tmp_path_factory.mktemp("run"), layers=1, prompts=prompts, similarity="cosine"
    )
    (folder / "manifest.json").write_text("{}")
    (folder / "README.md").write_text("# the base model")
    return folder


@pytest.fixture(scope="session")
def experts_dir(tiny_model, tmp_path_factory):
    """A model with two experts in each layer, which differ."""
    model = upcycle(SentenceTransformer(str(tiny_model), device="cpu"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in expert_layers(backbone(model)).values():
            noise = torch.randn(layer.weight[1].shape, generator=generator)
            layer.weight[1] += 0.02 * noise
    folder = tmp_path_factory.mktemp("experts") / "model"
    model.save_pretrained(str(folder), create_model_card=False)
    return folder
