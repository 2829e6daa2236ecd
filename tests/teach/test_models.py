"""Teachers that are models, each with a real one.

Proved: each gives the score that its library gives for the two texts, whatever else is in the block
and however little its cache holds; its fingerprint changes with one weight; a run's own model is
not run again for vectors that the run has.
"""

import numpy as np
import pytest
import torch

from whet.encoder import PackedEncoder, StoredEncoder
from whet.encoder.fingerprint import fingerprint_of
from whet.records import Teacher
from whet.teach.models import CrossEncoderTeacher, EmbeddingTeacher, VectorTeacher
from whet.teach.named import teacher_of
from whet.teach.pairs import Pairs
from whet.teach.scores import score_pairs


def load(models, kind):
    return teacher_of(str(models[kind]), None, None)


@pytest.mark.parametrize("kind", ["bi", "sparse", "late"])
def test_an_embedder_scores_as_its_library_does(models, queries, passages, kind):
    teacher = load(models, kind)
    assert isinstance(teacher, EmbeddingTeacher)
    assert isinstance(teacher, Teacher)
    model = teacher.model
    options = {} if kind == "late" else {"convert_to_tensor": True}
    expected = []
    for query, passage in zip(queries, passages, strict=True):
        query_embedding = model.encode_query([query], **options)
        passage_embedding = model.encode_document([passage], **options)
        expected.append(float(model.similarity_pairwise(query_embedding, passage_embedding)[0]))
    assert np.std(expected) > 1e-4
    scores = teacher.score(queries, passages)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)

    teacher._query_cache.max_bytes = 0
    teacher._passage_cache.max_bytes = 0
    scores = teacher.score(queries * 2, passages * 2)
    np.testing.assert_allclose(scores, expected * 2, rtol=1e-4, atol=1e-5)
    assert not teacher._query_cache.embeddings
    assert teacher._query_cache.bytes_used == 0


@pytest.mark.parametrize("kind", ["cross", "ranker"])
def test_a_cross_encoder_scores_as_its_library_does(models, queries, passages, kind):
    teacher = load(models, kind)
    assert isinstance(teacher, CrossEncoderTeacher)
    pairs = zip(queries, passages, strict=True)
    expected = [float(teacher.model.predict(pair)) for pair in pairs]
    scores = teacher.score(queries, passages)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_a_classifier_is_no_teacher(models):
    from sentence_transformers import CrossEncoder

    options = {"ignore_mismatched_sizes": True}
    classifier = CrossEncoder(str(models["ranker"]), num_labels=3, model_kwargs=options)
    with pytest.raises(ValueError, match="gives 3 scores a pair"):
        CrossEncoderTeacher(classifier, "x")


@pytest.mark.parametrize("kind", ["bi", "sparse", "late", "cross"])
def test_one_weight_makes_another_teacher(models, kind):
    teacher = load(models, kind)
    same = load(models, kind)
    assert teacher.fingerprint == same.fingerprint
    with torch.no_grad():
        next(same.model.parameters()).view(-1)[0] += 1e-3
    assert fingerprint_of(same.model) != teacher.fingerprint


def test_a_changed_file_of_weights_is_scored_again(models, queries, passages, tmp_path):
    from sentence_transformers import SentenceTransformer

    rows = np.arange(len(queries))
    pairs = Pairs(queries, passages, rows, rows)
    before = score_pairs(load(models, "bi"), pairs, tmp_path / "scores")
    model = SentenceTransformer(str(models["bi"]))
    with torch.no_grad():
        words = model[0].auto_model.embeddings.word_embeddings.weight
        words[5:] = words[5:].flip(0)
    model.save_pretrained(str(tmp_path / "changed"))
    changed = teacher_of(str(tmp_path / "changed"), None, None)
    after = score_pairs(changed, pairs, tmp_path / "scores")
    assert len(list((tmp_path / "scores").iterdir())) == 2
    assert not np.allclose(before, after)


def test_a_run_teaches_with_the_vectors_that_it_has(models, collection, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(models["bi"]))
    encoder = StoredEncoder(PackedEncoder(model), tmp_path)
    queries = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    encoder.encode_queries(queries)  # as mining does
    encoder.encode_passages(passages)
    monkeypatch.setattr(PackedEncoder, "encode", None)  # encoding a text again would fail
    teacher = VectorTeacher(encoder, collection, "base")
    assert isinstance(teacher, Teacher)
    some = slice(40)
    expected = EmbeddingTeacher(model, "base").score(queries[some], passages[some])
    assert np.std(expected) > 1e-4
    scores = teacher.score(queries[some], passages[some])
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
