"""Teachers that compute elsewhere, with real files and a real server.

Proved: a file's scores are found by texts, and a missing pair or a faulty row is named; embeddings
from a server are compared by cosine, and a server that gives too few is named without its key.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pandas
import pytest

from whet.errors import ConfigError, DataError, TeacherError
from whet.teach.named import teacher_of
from whet.teach.outside import EndpointTeacher, FileTeacher
from whet.teach.pairs import Pairs
from whet.teach.scores import score_pairs

LETTERS = "aeious"


def write_table(rows, path):
    """Write rows in the format that the path's suffix names."""
    suffix = path.suffix
    if suffix == ".csv":
        rows.to_csv(path, index=False)
    elif suffix == ".tsv":
        rows.to_csv(path, index=False, sep="\t")
    elif suffix == ".jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_parquet(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_scores_from_a_file(tmp_path, collection, suffix):
    path = tmp_path / f"scores.{suffix}"
    rows = pandas.DataFrame(
        {
            "query_id": ["q0", "q1", "q99999"],
            "passage_id": ["p1", "p0", "p0"],
            "score": [0.5, -2.0, 1],
        }
    )
    write_table(rows, path)
    teacher = teacher_of(f"file:{path}", collection, None)
    assert isinstance(teacher, FileTeacher)
    queries = [collection.queries["q1"], collection.queries["q0"]]
    p0, p1, p2 = (collection.passages[passage].content for passage in ("p0", "p1", "p2"))
    assert teacher.score(queries, [p0, p1]).tolist() == [-2.0, 0.5]
    with pytest.raises(ConfigError, match="has no score for 1 of 2 pairs, such as"):
        teacher.score(queries, [p0, p2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query_id,passage_id\nq0,p0\n", "there is no score"),
        ("query_id,passage_id,score\nq0,p0,high\n", "score is 'high', expected a number"),
    ],
)
def test_a_file_that_holds_no_scores(tmp_path, collection, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        FileTeacher(tmp_path / "scores.csv", collection).score(["x"], ["y"])


def letter_counts(text):
    return [text.count(letter) + 1.0 for letter in LETTERS]


class Server(BaseHTTPRequestHandler):
    """Embeds a text as its counts of some letters; leaves one out where a text is "gone"."""

    requests: ClassVar = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).requests.append((self.path, self.headers["Authorization"], body))
        data = []
        for index, text in enumerate(body["input"]):
            embedding = letter_counts(text)
            data.append({"object": "embedding", "index": index, "embedding": embedding})
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
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    Server.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_embeddings_from_a_server(endpoint, queries, passages):
    teacher = teacher_of(f"openai:letters@{endpoint}", None, None)
    assert isinstance(teacher, EndpointTeacher)
    scores = teacher.score(queries, passages)

    query_vectors = np.array([letter_counts(text) for text in queries])
    passage_vectors = np.array([letter_counts(text) for text in passages])
    query_vectors /= np.linalg.norm(query_vectors, axis=1, keepdims=True)
    passage_vectors /= np.linalg.norm(passage_vectors, axis=1, keepdims=True)
    cosines = (query_vectors * passage_vectors).sum(axis=1)
    np.testing.assert_allclose(scores, cosines, rtol=1e-5)

    path, key, body = Server.requests[0]
    assert (path, key, body["model"]) == ("/v1/embeddings", "Bearer secret-key", "letters")
    assert len(body["input"]) <= 64


def test_prompts_are_put_before_the_texts_and_count_for_the_fingerprint(endpoint):
    plain = EndpointTeacher("letters", endpoint)
    prompted = EndpointTeacher("letters", endpoint, {"query": "ask: "})
    prompted.score(["x"], ["y"])
    assert [body["input"] for _, _, body in Server.requests] == [["ask: x"], ["y"]]
    assert prompted.fingerprint != plain.fingerprint


def test_a_server_that_leaves_a_text_out_is_named(endpoint, tmp_path):
    teacher = EndpointTeacher("letters", endpoint)
    row = np.zeros(1, int)
    message = r"teacher letters, block 1 \(1 pairs\): .*0 embeddings"
    with pytest.raises(TeacherError, match=message) as caught:
        score_pairs(teacher, Pairs(["gone"], ["y"], row, row), tmp_path)
    assert "secret-key" not in str(caught.value)
