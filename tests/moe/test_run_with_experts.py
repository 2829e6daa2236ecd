"""The whole road with experts: trained, told of, exported merged and as ONNX; and trials of which the best is kept."""

import json
import re

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

import whet
from tiny import LEARNING, RECIPE
from whet.cli.main import app
from whet.errors import ConfigError
from whet.evaluate.measures import PRIMARY
from whet.export.onnx import onnx_vectors
from whet.moe.upcycle import backbone, expert_layers

EXPERTS = {"train": LEARNING | {"train_only": "moe+norms"}, "moe": {"experts": 2}}


@pytest.fixture(scope="module")
def road(tiny_data, tiny_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("experts") / "run"
    return whet.tune(tiny_data, str(tiny_model), out, overrides=EXPERTS, force=True)


def exported(road, to, *options):
    ended = CliRunner().invoke(app, ["export", str(road.path), str(to), "--quiet", *options])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_the_model_of_the_run_has_experts_that_differ(road):
    layers = expert_layers(backbone(road.model))
    assert len(layers) == 2
    assert all((layer.weight[0] != layer.weight[1]).any() for layer in layers.values())
    trained = json.loads((road.path / "train" / "result.json").read_text())
    sizes = {name: p.numel() for name, p in road.model.named_parameters()}
    expected = sum(
        n for name, n in sizes.items() if "intermediate.dense" in name or "LayerNorm" in name
    )
    assert (trained["trained_parameters"], trained["total_parameters"]) == (
        expected,
        sum(sizes.values()),
    )


def test_the_report_tells_who_uses_which_expert(road):
    used = json.loads((road.path / "evaluate" / "experts.json").read_text())
    assert [layer["layer"] for layer in used] == list(expert_layers(backbone(road.model)))
    for page in ("index.html", "report.md"):
        text = (road.path / "report" / page).read_text()
        assert "Experts" in text
        assert all(layer["layer"] in text for layer in used)


def test_the_card_says_how_to_load_it(road):
    card = (road.path / "model" / "README.md").read_text()
    assert "trust_remote_code=True" in card
    assert (road.path / "model" / "modeling_whet_moe.py").exists()


@pytest.mark.parametrize("how", ["average", "regression"])
def test_merged_it_is_a_plain_model_and_the_loss_is_told(road, tmp_path, how):
    shown = exported(road, tmp_path / "plain", "--merge", "--merge-by", how)
    told = re.search(rf"\({how}\): {re.escape(PRIMARY)} ([\d.]+) → ([\d.]+)", shown)
    assert float(told[1]) == pytest.approx(100 * road.result["tuned"][PRIMARY], abs=0.06)
    assert told[0] in (tmp_path / "plain" / "README.md").read_text().replace("\n", " ")
    assert json.loads((tmp_path / "plain" / "config.json").read_text())["model_type"] == "bert"
    assert not list((tmp_path / "plain").glob("*.py"))


def test_onnx_gives_the_same_vectors(road, tmp_path):
    exported(road, tmp_path / "onnx", "--onnx")
    model = SentenceTransformer(str(tmp_path / "onnx"), device="cpu")
    texts = list(road.passages.values())[:20]
    expected = model.encode_document(texts, normalize_embeddings=True)
    np.testing.assert_allclose(
        onnx_vectors(model, tmp_path / "onnx", texts, "document"), expected, atol=1e-4
    )


def test_of_several_trials_the_best_on_dev_is_kept(tiny_data, tiny_model, tmp_path):
    tried = {
        "train": {k: v for k, v in LEARNING.items() if k != "train_only"},
        "candidates": ["norms", "all", "moe"],
    }
    run = whet.tune(tiny_data, str(tiny_model), tmp_path / "run", overrides=tried)
    found = json.loads((run.path / "train" / "result.json").read_text())
    best = max(found["trials"], key=lambda name: found["trials"][name]["dev"])
    assert list(found["trials"]) == ["norms", "all", "moe"]
    assert (found["trial"], found["dev_best"]) == (best, found["trials"][best]["dev"])
    assert bool(expert_layers(backbone(run.model))) == (best == "moe")
    assert {p.name for p in (run.path / "train" / "dev").iterdir()} == {
        "0.json",
        "norms",
        "all",
        "moe",
    }


def test_a_dense_run_has_nothing_to_merge(tiny_data, tiny_model, tmp_path):
    run = whet.tune(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE)
    ended = CliRunner().invoke(app, ["export", str(run.path), str(tmp_path / "to"), "--merge"])
    assert "no experts" in str(ended.exception)
    assert not (tmp_path / "to").exists()


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
