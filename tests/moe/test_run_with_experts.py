"""A whole run with experts: trained, reported, exported merged and as ONNX."""

import json
import re

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

import whet
from tiny import LEARNING
from whet.cli.main import app
from whet.errors import ConfigError
from whet.evaluate.measures import PRIMARY
from whet.export.onnx import onnx_vectors
from whet.moe.upcycle import backbone, expert_layers

EXPERTS = {"train": LEARNING | {"train_only": "moe+norms"}, "moe": {"experts": 2}}


@pytest.fixture(scope="module")
def run(tiny_data, tiny_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("experts") / "run"
    return whet.tune(tiny_data, str(tiny_model), out, overrides=EXPERTS, force=True)


def exported(run, to, *options):
    ended = CliRunner().invoke(app, ["export", str(run.path), str(to), "--quiet", *options])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


@pytest.mark.slow
def test_the_model_of_the_run_has_experts_that_differ(run):
    layers = expert_layers(backbone(run.model))
    assert len(layers) == 2
    assert all((layer.weight[0] != layer.weight[1]).any() for layer in layers.values())
    result = json.loads((run.path / "train" / "result.json").read_text())
    sizes = {name: p.numel() for name, p in run.model.named_parameters()}
    trained = [name for name in sizes if "intermediate.dense" in name or "LayerNorm" in name]
    assert result["trained_parameters"] == sum(sizes[name] for name in trained)
    assert result["total_parameters"] == sum(sizes.values())


@pytest.mark.slow
def test_the_report_shows_who_uses_which_expert(run):
    used = json.loads((run.path / "evaluate" / "experts.json").read_text())
    assert [layer["layer"] for layer in used] == list(expert_layers(backbone(run.model)))
    for page in ("index.html", "report.md"):
        text = (run.path / "report" / page).read_text()
        assert "Experts" in text
        assert all(layer["layer"] in text for layer in used)


@pytest.mark.slow
def test_the_card_says_how_to_load_it(run):
    card = (run.path / "model" / "README.md").read_text()
    assert "trust_remote_code=True" in card
    assert (run.path / "model" / "modeling_whet_moe.py").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["average", "regression"])
def test_merged_it_is_a_plain_model_and_its_score_is_shown(run, tmp_path, how):
    shown = exported(run, tmp_path / "plain", "--merge", "--merge-by", how)
    line = re.search(rf"\({how}\): {re.escape(PRIMARY)} ([\d.]+) → ([\d.]+)", shown)
    assert float(line[1]) == pytest.approx(100 * run.result["tuned"][PRIMARY], abs=0.06)
    assert line[0] in (tmp_path / "plain" / "README.md").read_text().replace("\n", " ")
    assert json.loads((tmp_path / "plain" / "config.json").read_text())["model_type"] == "bert"
    assert not list((tmp_path / "plain").glob("*.py"))


@pytest.mark.slow
def test_onnx_gives_the_same_vectors(run, tmp_path):
    exported(run, tmp_path / "onnx", "--onnx")
    model = SentenceTransformer(str(tmp_path / "onnx"), device="cpu")
    texts = list(run.passages.values())[:20]
    expected = model.encode_document(texts, normalize_embeddings=True)
    vectors = onnx_vectors(model, tmp_path / "onnx", texts, "document")
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


@pytest.mark.slow
def test_of_several_candidates_the_best_on_dev_is_kept(tiny_data, tiny_model, tmp_path):
    candidates = {
        "train": {k: v for k, v in LEARNING.items() if k != "train_only"},
        "candidates": ["norms", "all", "moe"],
    }
    run = whet.tune(tiny_data, str(tiny_model), tmp_path / "run", overrides=candidates)
    result = json.loads((run.path / "train" / "result.json").read_text())
    best = max(result["trials"], key=lambda name: result["trials"][name]["dev"])
    assert list(result["trials"]) == ["norms", "all", "moe"]
    assert (result["trial"], result["dev_best"]) == (best, result["trials"][best]["dev"])
    assert bool(expert_layers(backbone(run.model))) == (best == "moe")
    dev_files = {path.name for path in (run.path / "train" / "dev").iterdir()}
    assert dev_files == {"0.json", "norms", "all", "moe"}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"moe": {"experts": 2, "layers": "last-9"}}, "last-N with N up to 2"),
        ({"train": {"train_only": "moe"}}, "no experts: give --moe N"),
    ],
)
def test_what_the_model_lacks_is_said_before_any_work(
    tiny_data, tiny_model, tmp_path, recipe, message
):
    with pytest.raises(ConfigError, match=message):
        whet.tune(tiny_data, str(tiny_model), tmp_path / "run", overrides=recipe)
    assert not (tmp_path / "run" / "check").exists()
