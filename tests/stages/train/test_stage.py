"""What the train stage keeps, and what it refuses before any work."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

import whet
from tiny import RECIPE, tiny_bert
from whet.errors import ConfigError
from whet.files import read_json
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.train import choose_model as choosing
from whet.stages.train.candidate import Baseline, Candidate
from whet.stages.train.choose_model import choose_model
from whet.train.trainer import Trained


def test_of_several_candidates_one_that_may_replace_base_is_kept(
    folded, changed, sources, tmp_path, monkeypatch
):
    scores = {"all": (0.738, False), "norms": (0.724, True), "output": (0.7, True)}

    def train_candidate(name, train, moe):
        score, is_better = scores[name]
        model = folded.fresh_model()
        with torch.no_grad():
            next(model.parameters()).fill_(score)
        return Candidate(model, Trained(1, 1, 1, False, []), score, None, is_better)

    baseline = Baseline("dev", 0.738, dict.fromkeys(map(str, range(30)), 0.738), None)
    monkeypatch.setattr(choosing, "_judge", lambda *_: (baseline, train_candidate))
    several = changed(folded, candidates=list(scores))
    choose_model(several, tmp_path / "train", sources(folded))
    result = read_json(tmp_path / "train" / "result.json")
    assert (result["kept"], result["trial"]) == ("tuned", "norms")
    kept = SentenceTransformer(str(tmp_path / "train" / "model"))
    assert next(kept.parameters()).unique().tolist() == [pytest.approx(0.724)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"refresh": {"times": 1, "generate": True}}, "no generator is named"),
        ({"refresh": {"times": 1}, "mine": {"strategy": "bm25"}}, "mine.strategy is bm25"),
        ({"moe": {"experts": 2, "layers": [7]}}, "7"),
        ({"guard": {"data": "no-such-file.jsonl"}}, "no-such-file.jsonl"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    tiny_data, tiny_model, tmp_path, parts, message
):
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE | parts)
    with pytest.raises(whet.errors.WhetError, match=message):
        build(run, "train")
    assert not run.path.exists()


def test_a_server_in_the_middle_of_training_must_be_agreed_to(tiny_data, tiny_model, tmp_path):
    parts = {
        "refresh": {"times": 1, "generate": True},
        "generate": {"generator": "ollama:tiny", "passages": 0},
    }
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE | parts)
    with pytest.raises(ConfigError, match="agree to that with --yes"):
        build(run, "train")


@pytest.mark.slow
def test_small_data_gets_better_without_a_dev_split(small_data, folded, tiny_model, tmp_path):
    overrides = folded.settings.overrides
    run = whet.tune(small_data, str(tiny_model), tmp_path / "run", overrides=overrides)
    assert run.result["verdict"] == "better"
    again = whet.tune(small_data, str(tiny_model), tmp_path / "run", overrides=overrides)
    assert again.result == run.result


@pytest.mark.slow
def test_a_model_of_dot_products_gives_vectors_of_length_1(small_data, tmp_path, caplog):
    base = tiny_bert(tmp_path / "dot", normalise=False, similarity="dot")
    with caplog.at_level("INFO", "whet"):
        run = whet.tune(small_data, str(base), tmp_path / "run", overrides=RECIPE)
    assert "compares by dot product" in caplog.text
    assert run.result["kept_base"] is False
    vectors = SentenceTransformer(str(run.path / "model")).encode(["stone", "oil"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
