"""Teachers by name: every form is understood, and what names no teacher is refused."""

import pytest

from whet.encoder import PackedEncoder
from whet.encoder.fingerprint import fingerprint_of
from whet.errors import ConfigError
from whet.teach.models import CrossEncoderTeacher
from whet.teach.named import check_teacher_name, kind_of, teacher_digest, teacher_of


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("bi", "bi"),
        ("sparse", "sparse"),
        ("late", "late"),
        ("cross", "cross"),
        ("ranker", "cross"),
    ],
)
def test_a_models_kind_is_read_from_its_configuration(models, folder, kind):
    assert kind_of(str(models[folder])) == kind


def test_names_of_teachers(models, collection):
    from sentence_transformers import SentenceTransformer

    base = SentenceTransformer(str(models["bi"]))
    fingerprint = fingerprint_of(base)
    assert teacher_of("base", collection, PackedEncoder(base)).fingerprint == fingerprint
    assert teacher_of("bm25", collection, None).name == "BM25 of words"
    assert teacher_of("bm25-characters", collection, None).name == "BM25 of characters"
    assert teacher_of(f"bi:{models['bi']}", collection, None).fingerprint == fingerprint
    ranker = teacher_of(f"cross:{models['ranker']}", collection, None)
    assert isinstance(ranker, CrossEncoderTeacher)


@pytest.mark.parametrize("name", ["nothing/there-is", "file:/no/where.csv", "cross:/no/where"])
def test_names_that_mean_nothing(collection, monkeypatch, name):
    # Without this the hub's client would wait long for a hub that cannot be reached.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="teacher"):
        teacher_of(name, collection, None)


def test_a_misspelt_name_is_answered_with_a_near_one():
    with pytest.raises(ConfigError, match="Did you mean bm25-characters"):
        check_teacher_name("bm25-character")


def test_an_api_key_in_a_teachers_address_is_refused():
    message = "keep the key out of the address of letters; set OPENAI_API_KEY"
    with pytest.raises(ConfigError, match=message):
        check_teacher_name("openai:letters@https://me:sk-secret@host/v1")


def test_a_digest_is_of_the_file_or_folder_that_is_named(models, tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("one")
    before = teacher_digest(f"file:{file}")
    file.write_text("two")
    assert teacher_digest(f"file:{file}") != before
    folder = str(models["bi"])
    assert teacher_digest(folder) == teacher_digest(f"bi:{folder}") != ""
    assert teacher_digest("bm25") == ""
