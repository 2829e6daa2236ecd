"""Saved, copied and sent away, a model with experts gives the same vectors.

Proved with settings of every kind and experts that differ: loading with whet, loading in a process
where whet cannot be imported (as a SentenceTransformer and by `AutoModel`, saved again there too),
pickling to another process, and copying. The folder holds safetensors and one file of code. Who
does not trust that code gets a ValueError.
"""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from architectures import FAMILIES, build
from tiny import WORDS
from whet.errors import ConfigError
from whet.models import load_model
from whet.moe import modeling_whet_moe, upcycle
from whet.moe.upcycle import backbone, expert_layers
from without_whet import WITHOUT_WHET

TEXTS = [" ".join(WORDS[i : i + length]) for i, length in enumerate((1, 9, 3, 18, 5, 2))]
SETTINGS = {
    "Bert": {},
    "Roberta": {"layers": "last-1"},
    "XLMRoberta": {"router": "reference"},
    "MPNet": {"site": "output"},
    "DistilBert": {"experts": 3, "top_k": 2},
    "ModernBert": {"experts": 3},
    "Qwen3": {"experts": 4, "top_k": 2, "router": "reference"},
    "Gemma3Text": {"layers": [0], "top_k": 2},
}
SAME = {"rtol": 0, "atol": 2e-6}


def specialised(family, folder):
    """A mixture whose experts have gone different ways."""
    model = upcycle(build(FAMILIES[family], folder).eval(), **SETTINGS[family])
    before = model.encode(TEXTS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in expert_layers(backbone(model)).values():
            layer.weight.add_(torch.randn(layer.weight.shape, generator=generator), alpha=0.2)
    assert np.abs(model.encode(TEXTS) - before).max() > 0.01
    return model


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    """A mixture of each family, and where it is saved."""
    folder = tmp_path_factory.mktemp("mixtures")
    mixtures = {}
    for family in FAMILIES:
        model = specialised(family, tmp_path_factory.mktemp(family))
        model.save_pretrained(str(folder / family), create_model_card=False)
        mixtures[family] = model, folder / family
    return mixtures


def in_a_fresh_process(script, folder, into, families):
    """Run a script with the families' folder, the folder that it writes to, and their names."""
    into.mkdir()
    (into / "texts.json").write_text(json.dumps(TEXTS))
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(into / "code"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(into), *families],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def token_vectors(model):
    """What the backbone itself gives for the texts, 0 where there is padding."""
    features = model.preprocess(TEXTS)
    mask = features["attention_mask"]
    with torch.no_grad():
        output = backbone(model)(input_ids=features["input_ids"], attention_mask=mask)
    return (output.last_hidden_state * mask.unsqueeze(2)).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_holds_safetensors_and_one_file_of_code(mixtures, family):
    _, folder = mixtures[family]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".py"}
    (code,) = [path for path in files if path.suffix == ".py"]
    assert code == folder / "modeling_whet_moe.py"
    assert code.read_bytes() == Path(modeling_whet_moe.__file__).read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_with_whet_it_loads_as_any_model_does(mixtures, family):
    model, folder = mixtures[family]
    again = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), model.encode(TEXTS), **SAME)
    assert type(backbone(again)) is type(backbone(model))
    assert list(expert_layers(backbone(again))) == list(expert_layers(backbone(model)))
    assert again.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_give_the_same_and_share_nothing(mixtures, family):
    model, _ = mixtures[family]
    expected = model.encode(TEXTS)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert backbone(copied).routing.mask is None
        np.testing.assert_allclose(copied.encode(TEXTS), expected, **SAME)
        layers = expert_layers(backbone(copied)).values()
        assert {id(layer.routing) for layer in layers} == {id(backbone(copied).routing)}
        with torch.no_grad():
            for layer in layers:
                layer.weight.zero_()
        assert np.abs(copied.encode(TEXTS) - expected).max() > 0.01
    np.testing.assert_array_equal(model.encode(TEXTS), expected)


def with_level(folder, level, to):
    """A saved model as earlier versions wrote it, with a level in its config."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    config["moe"]["level"] = level
    (to / "config.json").write_text(json.dumps(config))
    return str(to)


def test_a_model_of_an_earlier_version_that_routes_tokens_loads(mixtures, tmp_path):
    model, folder = mixtures["Bert"]
    earlier = load_model(with_level(folder, "token", tmp_path / "earlier"), device="cpu")
    np.testing.assert_allclose(earlier.encode(TEXTS), model.encode(TEXTS), **SAME)


def test_a_model_that_routes_whole_texts_is_refused_with_the_cure(mixtures, tmp_path):
    earlier = with_level(mixtures["Bert"][1], "text", tmp_path / "earlier")
    message = r"'level' is 'text' in its config.json.* Train the model again without moe.level"
    with pytest.raises(ValueError, match=message):
        SentenceTransformer(earlier, device="cpu")
    with pytest.raises(ConfigError, match=message):
        load_model(earlier, device="cpu")


ELSEWHERE = (
    WITHOUT_WHET
    + """
import json, sys
from pathlib import Path
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel
root, into = Path(sys.argv[1]), Path(sys.argv[2])
folders = [root / family for family in sys.argv[3:]]
texts = json.loads((into / "texts.json").read_text())

for folder in folders:
    for load in (SentenceTransformer, AutoModel.from_pretrained):
        for trust in ({}, {"trust_remote_code": False}):
            try:
                load(str(folder), **trust)
            except ValueError as error:
                assert "trust_remote_code=True" in str(error), error
            else:
                raise SystemExit(f"{folder.name} loads without trust by {load}")

for folder in folders:
    model = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    vectors = model.encode(texts)
    features = model.preprocess(texts)
    ids, mask = features["input_ids"], features["attention_mask"]
    plain = AutoModel.from_pretrained(str(folder), trust_remote_code=True).eval()
    with torch.no_grad():
        tokens = plain(input_ids=ids, attention_mask=mask).last_hidden_state * mask.unsqueeze(2)
    np.savez(into / f"{folder.name}.npz", vectors=vectors, tokens=tokens.numpy())
    model.save_pretrained(str(into / folder.name), create_model_card=False)
    again = SentenceTransformer(str(into / folder.name), trust_remote_code=True, device="cpu")
    np.testing.assert_allclose(again.encode(texts), vectors, rtol=0, atol=2e-6)

assert not [name for name in sys.modules if name.split(".")[0] == "whet"]
"""
)


@pytest.mark.parametrize(
    "families",
    [("Bert", "Qwen3"), pytest.param(tuple(FAMILIES), marks=pytest.mark.slow)],
    ids=["two families", "all families"],
)
def test_where_whet_is_not_it_loads_on_trust_and_only_then(mixtures, tmp_path, families):
    folder = mixtures["Bert"][1].parent
    into = tmp_path / "elsewhere"
    in_a_fresh_process(ELSEWHERE, folder, into, families)
    for family in families:
        model, _ = mixtures[family]
        elsewhere = np.load(into / f"{family}.npz")
        np.testing.assert_allclose(elsewhere["vectors"], model.encode(TEXTS), **SAME)
        np.testing.assert_allclose(elsewhere["tokens"], token_vectors(model), rtol=1e-4, atol=1e-4)
        resaved = into / family
        for name in ("config.json", "modeling_whet_moe.py", "modules.json"):
            assert (resaved / name).read_bytes() == (folder / family / name).read_bytes()
        back = SentenceTransformer(str(resaved), device="cpu")
        np.testing.assert_allclose(back.encode(TEXTS), model.encode(TEXTS), **SAME)


ANOTHER = """
import json, pickle, sys
from pathlib import Path
import numpy as np
from whet.models import load_model
root, into = Path(sys.argv[1]), Path(sys.argv[2])
texts = json.loads((into / "texts.json").read_text())
loaded = {family: load_model(str(root / family)).encode(texts) for family in sys.argv[3:]}
np.savez(into / "loaded.npz", **loaded)
sent = pickle.loads((into.parent / "sent.pickle").read_bytes())
np.savez(into / "sent.npz", **{name: model.encode(texts) for name, model in sent.items()})
"""


def test_a_family_is_there_by_name_for_pickle():
    """An unpickling process looks the classes up in the module before anything has made them."""
    assert modeling_whet_moe.MoEMPNetModel is modeling_whet_moe.family(transformers.MPNetModel)
    assert modeling_whet_moe.MoEMPNetConfig.parent_model_type == "mpnet"
    with pytest.raises(AttributeError, match="has no attribute 'MoENothing'"):
        _ = modeling_whet_moe.MoENothing


@pytest.mark.slow
def test_another_process_of_whet_loads_it_and_takes_it_by_pickle(mixtures, tmp_path):
    models = {family: model for family, (model, _) in mixtures.items()}
    (tmp_path / "sent.pickle").write_bytes(pickle.dumps(models))
    into = tmp_path / "another"
    in_a_fresh_process(ANOTHER, mixtures["Bert"][1].parent, into, FAMILIES)
    for way in ("loaded", "sent"):
        vectors = np.load(into / f"{way}.npz")
        for family, model in models.items():
            np.testing.assert_allclose(vectors[family], model.encode(TEXTS), **SAME)


def test_trust_beside_whet_changes_nothing(mixtures, tmp_path, monkeypatch):
    """whet's code goes before the folder's copy, whose layers whet would not know as experts."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path))
    model, folder = mixtures["Bert"]
    trusted = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(trusted.encode(TEXTS), model.encode(TEXTS), **SAME)
    assert list(expert_layers(backbone(trusted))) == list(expert_layers(backbone(model)))
