import importlib.util
import shutil
import subprocess

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from whet.errors import ArtifactError, ConfigError, MissingExtra
from whet.evaluate.verdict import assess
from whet.export import folder
from whet.export.card import ModelOrigin
from whet.export.folder import CHECKSUMS, checksums, export_model

EVALUATION = assess({"q": {"a": 1}}, {}, {}, {}, np.random.default_rng(0))
ORIGIN = ModelOrigin("sentence-transformers/tiny", "notes", {"passages": 1234}, EVALUATION)
TEXTS = ["Where does the model lie?", "In the folder that the run names last."]
HAS_OPENVINO = importlib.util.find_spec("optimum") is not None


def load(path, **options):
    return SentenceTransformer(str(path), device="cpu", **options)


def files_of(path):
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def exported(model_dir, tmp_path_factory):
    return export_model(model_dir, tmp_path_factory.mktemp("out") / "notes-tiny", origin=ORIGIN)


def test_it_loads_and_gives_the_same_vectors(model_dir, exported):
    before = load(model_dir)
    after = load(exported)
    prompt_effect = np.abs(before.encode_query(TEXTS) - before.encode_document(TEXTS)).max()
    assert prompt_effect > 1e-3, "the prompt does something"
    np.testing.assert_array_equal(before.encode_query(TEXTS), after.encode_query(TEXTS))
    np.testing.assert_array_equal(before.encode_document(TEXTS), after.encode_document(TEXTS))


def test_every_file_of_the_model_is_the_same_to_the_byte(model_dir, exported):
    files = files_of(model_dir) - {"README.md", "manifest.json"}
    assert files_of(exported) == files | {"README.md", CHECKSUMS}
    for file in files:
        assert (exported / file).read_bytes() == (model_dir / file).read_bytes()


def test_the_card_is_of_the_tuned_model_and_run_files_stay_behind(exported):
    card = (exported / "README.md").read_text()
    assert "# notes-tiny" in card
    assert "vector of 32 numbers; at most 64 tokens" in card
    assert not (exported / "manifest.json").exists()
    assert not exported.with_name(exported.name + ".partial").exists()


def test_every_user_may_read_the_files(exported):
    assert {path.stat().st_mode & 0o777 for path in exported.rglob("*.safetensors")} == {0o644}
    assert exported.stat().st_mode & 0o777 == 0o755


def test_sha256sum_agrees_and_sees_a_change(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "copy")
    check = ["sha256sum", "--check", "--strict", CHECKSUMS]
    files = files_of(copy) - {CHECKSUMS}
    checked = subprocess.run(check, cwd=copy, capture_output=True, text=True, check=True)
    assert {line.removesuffix(": OK") for line in checked.stdout.splitlines()} == files
    (copy / "config.json").write_text("{}")
    assert subprocess.run(check, cwd=copy, capture_output=True).returncode == 1


def test_an_export_replaces_an_earlier_one(model_dir, exported, tmp_path):
    again = shutil.copytree(exported, tmp_path / "again")
    (again / "stale.txt").write_text("from last time")
    (again / CHECKSUMS).write_text(checksums(again))
    export_model(model_dir, again, origin=ORIGIN)
    assert not (again / "stale.txt").exists()


def test_an_export_replaces_nothing_else(model_dir, exported, tmp_path):
    again = shutil.copytree(exported, tmp_path / "again")
    (again / "notes.txt").write_text("written since")
    with pytest.raises(ConfigError, match=r"holds notes.txt, which whet did not export"):
        export_model(model_dir, again, origin=ORIGIN)
    assert (again / "notes.txt").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="which whet did not export"):
        export_model(model_dir, mine, origin=ORIGIN)
    assert (mine / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ConfigError, match="is a file"):
        export_model(model_dir, mine / "thesis.tex", origin=ORIGIN)


def test_a_model_that_gives_other_vectors_is_not_exported(
    model_dir, tiny_model, tmp_path, monkeypatch
):
    # The first load is of the model, the second of its copy, which "loses" its prompt.
    folders = iter([model_dir, tiny_model])
    monkeypatch.setattr(folder, "load_model", lambda *_, **__: load(next(folders)))
    message = r"exported as st it gives other vectors than before \(1 − cosine"
    with pytest.raises(ArtifactError, match=message):
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
    vectors = load(out, backend="openvino").encode_query(TEXTS, normalize_embeddings=True)
    expected = load(model_dir).encode_query(TEXTS, normalize_embeddings=True)
    cosines = (vectors * expected).sum(axis=1)
    assert cosines.min() > 0.999, "a lost prompt would cost more"
    assert "openvino/openvino_model.xml" in (out / CHECKSUMS).read_text()
