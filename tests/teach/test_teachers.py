"""The teachers, each with a real model, index, file or server.

Proved: each gives the score that its library gives for the two texts, whatever else is in the block and however little
its cache holds; its fingerprint changes with one weight, with the corpus, with the file; names are understood, models
by their own configuration; and a server that stays silent or a file without a pair is told of clearly.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch

from tiny import VOCABULARY, tiny_bert
from whet.data.read import read
from whet.encoder.packed import PackedEncoder, StoredEncoder, fingerprint_of
from whet.errors import ConfigError, DataError, TeacherError
from whet.records import Teacher
from whet.search.bm25 import Bm25, character_grams
from whet.teach.lexical import Bm25Teacher
from whet.teach.models import CrossEncoderTeacher, EmbeddingTeacher, VectorTeacher
from whet.teach.named import check_teacher_name, kind_of, teacher_of
from whet.teach.outside import EndpointTeacher, FileTeacher
from whet.teach.scores import Pairs, ask

WORDS = [word for word in VOCABULARY if word.isalpha()]


def texts_of(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 9)).tolist()) for _ in range(count)]


QUERIES, PASSAGES = texts_of(40, 1), texts_of(40, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny random model of every kind, saved: name of the kind → folder."""
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("teachers")
    bi = tiny_bert(folder / "bi")
    backbone = folder / "bi" / "backbone"
    config = BertConfig.from_pretrained(backbone if backbone.exists() else bi)
    torch.manual_seed(0)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bi)
    for name, made, more in (
        ("mlm", BertForMaskedLM, {}),
        ("ranker", BertForSequenceClassification, {"num_labels": 1}),
    ):
        for key, value in more.items():
            setattr(config, key, value)
        made(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    sparse = SparseEncoder(modules=[MLMTransformer(str(folder / "mlm")), SpladePooling()])
    sparse.save_pretrained(str(folder / "sparse"))
    CrossEncoder(str(folder / "ranker")).save_pretrained(str(folder / "cross"))
    MultiVectorEncoder(str(bi)).save_pretrained(str(folder / "late"))
    return {"bi": bi, "ranker": folder / "ranker"} | {
        kind: folder / kind for kind in ("sparse", "cross", "late")
    }


def loaded(models, kind):
    return teacher_of(str(models[kind]), None, None)


@pytest.mark.parametrize("kind", ["bi", "sparse", "late"])
def test_an_embedder_scores_as_its_library_does(models, kind):
    teacher = loaded(models, kind)
    assert isinstance(teacher, EmbeddingTeacher)
    assert isinstance(teacher, Teacher)
    model, options = teacher.model, {} if kind == "late" else {"convert_to_tensor": True}
    expected = [
        float(
            model.similarity_pairwise(
                model.encode_query([q], **options), model.encode_document([p], **options)
            )[0]
        )
        for q, p in zip(QUERIES, PASSAGES, strict=True)
    ]
    assert np.std(expected) > 1e-4
    np.testing.assert_allclose(teacher.score(QUERIES, PASSAGES), expected, rtol=1e-4, atol=1e-5)
    teacher._queries.room = teacher._passages.room = 0
    np.testing.assert_allclose(
        teacher.score(QUERIES * 2, PASSAGES * 2), expected * 2, rtol=1e-4, atol=1e-5
    )
    assert not teacher._queries.kept
    assert teacher._queries.bytes == 0


@pytest.mark.parametrize("kind", ["cross", "ranker"])
def test_a_cross_encoder_scores_as_its_library_does(models, kind):
    teacher = loaded(models, kind)
    assert isinstance(teacher, CrossEncoderTeacher)
    expected = [
        float(teacher.model.predict((q, p))) for q, p in zip(QUERIES, PASSAGES, strict=True)
    ]
    np.testing.assert_allclose(teacher.score(QUERIES, PASSAGES), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["bi", "sparse", "late", "cross"])
def test_one_weight_makes_another_teacher(models, kind):
    one, same = loaded(models, kind), loaded(models, kind)
    assert one.fingerprint == same.fingerprint
    with torch.no_grad():
        next(same.model.parameters()).view(-1)[0] += 1e-3
    assert fingerprint_of(same.model) != one.fingerprint


def test_a_changed_file_of_weights_is_scored_anew(models, tmp_path):
    from sentence_transformers import SentenceTransformer

    pairs = Pairs(QUERIES, PASSAGES, np.arange(40), np.arange(40))
    before = ask(loaded(models, "bi"), pairs, tmp_path / "scores")
    model = SentenceTransformer(str(models["bi"]))
    with torch.no_grad():
        words = model[0].auto_model.embeddings.word_embeddings.weight
        words[5:] = words[5:].flip(0)
    model.save_pretrained(str(tmp_path / "changed"))
    after = ask(teacher_of(str(tmp_path / "changed"), None, None), pairs, tmp_path / "scores")
    assert len(list((tmp_path / "scores").iterdir())) == 2
    assert not np.allclose(before, after)


@pytest.mark.parametrize(
    ("cut", "words"), [("words", "Dogs bark dogs"), ("characters", "dgos barked")]
)
def test_bm25_scores_pairs_as_it_searches(cut, words):
    corpus = ["dogs bark", "a dog barks at dogs", "cats", "", "東大寺 dogs"]
    teacher = Bm25Teacher(corpus, cut)
    assert isinstance(teacher, Teacher)
    hits = Bm25(corpus, cut=character_grams) if cut == "characters" else Bm25(corpus)
    found = hits.top_k([words, "nothing known", ""], len(corpus))
    for row, query in enumerate([words, "nothing known", ""]):
        expected = dict(zip(found.indices[row].tolist(), found.scores[row].tolist(), strict=True))
        scores = teacher.score([query] * len(corpus), corpus)
        np.testing.assert_allclose(
            scores, [expected.get(at, 0.0) for at in range(len(corpus))], rtol=1e-6
        )
    assert max(teacher.score([words] * 2, corpus[:2])) > 0
    assert Bm25Teacher(corpus[:-1], cut).fingerprint != teacher.fingerprint
    assert Bm25Teacher([""], cut).score(["x"], [""]).tolist() == [0.0]


@pytest.fixture
def collection(tiny_data):
    return read(tiny_data)[0]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_scores_from_a_file(tmp_path, collection, suffix):
    import pandas

    path = tmp_path / f"scores.{suffix}"
    rows = pandas.DataFrame(
        {
            "query_id": ["q0", "q1", "q99999"],
            "passage_id": ["p1", "p0", "p0"],
            "score": [0.5, -2.0, 1],
        }
    )
    {
        "csv": lambda: rows.to_csv(path, index=False),
        "tsv": lambda: rows.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: rows.to_json(path, orient="records", lines=True),
        "parquet": lambda: rows.to_parquet(path),
    }[suffix]()
    teacher = teacher_of(f"file:{path}", collection, None)
    assert isinstance(teacher, FileTeacher)
    query, passage = collection.queries, {p.id: p.content for p in collection.passages.values()}
    assert teacher.score([query["q1"], query["q0"]], [passage["p0"], passage["p1"]]).tolist() == [
        -2.0,
        0.5,
    ]
    with pytest.raises(ConfigError, match="has no score for 1 of 2 pairs, such as"):
        teacher.score([query["q1"], query["q0"]], [passage["p0"], passage["p2"]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query_id,passage_id\nq0,p0\n", "there is no score"),
        ("query_id,passage_id,score\nq0,p0,high\n", "score is 'high', expected a number"),
    ],
)
def test_a_file_that_holds_no_scores(tmp_path, collection, text, said):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        FileTeacher(tmp_path / "scores.csv", collection).score(["x"], ["y"])


class Server(BaseHTTPRequestHandler):
    """Embeds a text as its counts of some letters; says that it is overloaded to a text that says so."""

    asked: ClassVar = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append((self.path, self.headers["Authorization"], body))
        rows = [[text.count(letter) + 1.0 for letter in "aeious"] for text in body["input"]]
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        if "gone" in body["input"]:
            data = data[1:]
        reply = {
            "object": "list",
            "data": data[::-1],
            "model": body["model"],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
        answer = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    Server.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_key_in_a_teachers_address_is_refused():
    with pytest.raises(
        ConfigError, match="keep the key out of the address of letters; set OPENAI_API_KEY"
    ):
        check_teacher_name("openai:letters@https://me:sk-secret@host/v1")


def test_embeddings_from_a_server(endpoint, tmp_path):
    pytest.importorskip("openai")
    teacher = teacher_of(f"openai:letters@{endpoint}", None, None)
    assert isinstance(teacher, EndpointTeacher)
    found = teacher.score(QUERIES, PASSAGES)
    vectors = [
        np.array([[t.count(c) + 1.0 for c in "aeious"] for t in texts])
        for texts in (QUERIES, PASSAGES)
    ]
    left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors)
    np.testing.assert_allclose(found, (left * right).sum(axis=1), rtol=1e-5)
    path, key, body = Server.asked[0]
    assert (path, key, body["model"]) == ("/v1/embeddings", "Bearer secret-key", "letters")
    assert len(body["input"]) <= 64
    prompted = EndpointTeacher("letters", endpoint, {"query": "ask: "})
    prompted.score(["x"], ["y"])
    assert [asked[2]["input"] for asked in Server.asked[-2:]] == [["ask: x"], ["y"]]
    assert prompted.fingerprint != teacher.fingerprint
    with pytest.raises(
        TeacherError, match=r"teacher letters, block 1 \(1 pairs\): .*0 embeddings"
    ) as caught:
        ask(teacher, Pairs(["gone"], ["y"], np.zeros(1, int), np.zeros(1, int)), tmp_path)
    assert "secret-key" not in str(caught.value)


def test_a_run_teaches_with_the_vectors_that_it_has(models, collection, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(models["bi"]))
    own = StoredEncoder(PackedEncoder(model), tmp_path)
    asked = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    own.encode_queries(asked)  # as mining does
    own.encode_passages(passages)
    monkeypatch.setattr(PackedEncoder, "encode", None)  # it would fail if a text were encoded again
    teacher = VectorTeacher(own, collection, "base")
    assert isinstance(teacher, Teacher)
    expected = EmbeddingTeacher(model, "base").score(asked[:40], passages[:40])
    assert np.std(expected) > 1e-4
    np.testing.assert_allclose(
        teacher.score(asked[:40], passages[:40]), expected, rtol=1e-4, atol=1e-5
    )


def test_names(models, collection, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_OFFLINE", True
    )  # its client tries a hub that is away long
    assert [kind_of(str(models[kind])) for kind in ("bi", "sparse", "late", "cross", "ranker")] == [
        "bi",
        "sparse",
        "late",
        "cross",
        "cross",
    ]
    from sentence_transformers import SentenceTransformer

    base = SentenceTransformer(str(models["bi"]))
    assert teacher_of("base", collection, PackedEncoder(base)).fingerprint == fingerprint_of(base)
    assert teacher_of("bm25-characters", collection, None).name == "BM25 of characters"
    assert teacher_of(f"bi:{models['bi']}", collection, None).fingerprint == fingerprint_of(base)
    for name in ("nothing/there-is", "file:/no/where.csv", "cross:/no/where"):
        with pytest.raises(ConfigError, match="teacher"):
            teacher_of(name, collection, None)


def test_a_classifier_is_no_teacher(models):
    from sentence_transformers import CrossEncoder

    with pytest.raises(ValueError, match="gives 3 scores a pair"):
        CrossEncoderTeacher(
            CrossEncoder(
                str(models["ranker"]), num_labels=3, model_kwargs={"ignore_mismatched_sizes": True}
            ),
            "x",
        )
