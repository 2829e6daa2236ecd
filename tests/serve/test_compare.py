import re
import signal
import socket
import subprocess
import sys

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from whet.errors import ConfigError
from whet.evaluate.slices import query_rows
from whet.records import Collection, Passage
from whet.serve.compare import create_app, run_locally
from whet.serve.ranks import SHOWN, ModelPair, SearchedModel, known_answers, rank_both

WORDS = ["cat", "dog", "fish", "bird"]
PASSAGES = {
    "p0": Passage("p0", "cat cat dog", "Cats & dogs"),
    "p1": Passage("p1", "dog fish"),
    "p2": Passage("p2", "<b>fish</b> bird"),
    "p3": Passage("p3", "bird cat"),
}
COLLECTION = Collection(
    "pets",
    PASSAGES,
    {"q0": "Which cat?", "q1": "which fish", "q2": "a <script>bird</script>"},
    {"train": {"q1": {"p1": 1}}, "test": {"q0": {"p3": 1, "p0": 2, "p1": 0}, "q2": {"p2": 1}}},
)


class WordCounts:
    """A small but real encoder: counts of four words times a weight each, as unit vectors."""

    def __init__(self, **weights):
        self.weights = np.array([weights.get(word, 1.0) for word in WORDS], np.float32)
        self.fingerprint = str(weights)

    def encode_queries(self, texts):
        counts = (
            np.array([[len(re.findall(word, text)) for word in WORDS] for text in texts])
            * self.weights
        )
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(
            np.float32
        )

    encode_passages = encode_queries


@pytest.fixture
def pairing():
    base, tuned = (
        SearchedModel(name, encoder, encoder.encode_passages([p.text for p in PASSAGES.values()]))
        for name, encoder in (("plain", WordCounts()), ("sharp <1>", WordCounts(cat=0.2, bird=3.0)))
    )
    ranking = {"q0": {"p1": 0.9, "p3": 0.8}, "q2": {"p0": 0.7, "p2": 0.6}}
    better = {"q0": {"p3": 0.9, "p1": 0.8}, "q2": {"p0": 0.7, "p2": 0.6}}
    rows = query_rows(COLLECTION.queries, PASSAGES, COLLECTION.qrels["test"], ranking, better)
    return ModelPair(COLLECTION, base, tuned, rows)


@pytest.fixture
def client(pairing):
    with TestClient(create_app(pairing), base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("query", ["cat", "dog fish", "bird bird cat", "nothing known"])
def test_ranks_are_those_of_a_plain_sort(pairing, query):
    both = rank_both(pairing, query, shown=3)
    for side, found, name in (
        (pairing.base, both.base, "base"),
        (pairing.tuned, both.tuned, "tuned"),
    ):
        vector = side.encoder.encode_queries([query])[0]
        scores = [
            sum(float(a) * float(b) for a, b in zip(vector, row, strict=True))
            for row in side.vectors
        ]
        order = sorted(range(len(scores)), key=lambda i: (-round(scores[i], 6), i))
        assert [f.row for f in found] == order[:3]
        assert [getattr(f, f"{name}_rank") for f in found] == [1, 2, 3]
        assert [getattr(f, f"{name}_score") for f in found] == pytest.approx(
            [scores[i] for i in order[:3]]
        )


def test_a_passage_bears_its_rank_on_either_side(pairing):
    both = rank_both(pairing, "cat bird", shown=4)
    for left in both.base:
        right = next(f for f in both.tuned if f.row == left.row)
        assert left == right
    assert sum(f.risen for f in both.tuned) == 0
    assert any(f.risen > 0 for f in both.tuned)


def test_known_answers_are_found_by_text_the_test_split_first():
    assert known_answers(COLLECTION, " WHICH cat? ") == ("test", {"p3": 1, "p0": 2, "p1": 0})
    assert known_answers(COLLECTION, "which fish") == ("train", {"p1": 1})
    assert known_answers(COLLECTION, "which dog") == (None, {})


def test_no_more_than_ten_a_side_and_answers_however_deep():
    many = {f"p{i}": Passage(f"p{i}", "cat " * (i + 1) + "dog") for i in range(40)}
    encoder = WordCounts()
    side = SearchedModel("plain", encoder, encoder.encode_passages([p.text for p in many.values()]))
    both = rank_both(
        ModelPair(Collection("c", many, {"q": "cat"}, {"test": {"q": {"p0": 1}}}), side, side),
        "cat",
    )
    assert len(both.base) == len(both.tuned) == SHOWN
    assert [(f.passage.id, f.base_rank) for f in both.answers] == [("p0", 40)]


def test_the_front_page_shows_the_examples(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "2 → 1" in page.text
    assert "/?q=Which%20cat%3F" in page.text


def test_results_stand_side_by_side_with_marks(client, pairing):
    page = client.get("/", params={"q": "which cat?"}).text
    left, right = page.split("<h2>Tuned")
    both = rank_both(pairing, "which cat?")
    assert page.count("✓ known answer") == 2 * 2
    assert "of this query, from the test split" in left
    for found in both.tuned:
        assert f"{found.tuned_score:.3f}" in right
        assert f"{found.base_score:.3f}" in left
        assert ("as before" if found.risen == 0 else f"was {found.base_rank}") in right


def test_a_trained_query_is_called_one(client):
    assert "the tuned model was trained on them" in client.get("/", params={"q": "which fish"}).text


def test_what_users_write_is_never_markup(client):
    page = client.get("/", params={"q": "a <script>bird</script>"}).text
    assert "<script" not in page
    assert "&lt;script&gt;bird" in page
    assert "&lt;b&gt;fish&lt;/b&gt;" in page
    assert "Cats &amp; dogs" in page
    assert "sharp &lt;1&gt;" in page


def test_nothing_comes_from_elsewhere_and_nobody_else_may_ask(client):
    page = client.get("/", params={"q": "cat"})
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"(src|href|action)=.?(https?:)?//", page.text)
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/").status_code == 405


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_query_is_the_front_page(client, query):
    assert client.get("/", params={"q": query}).text == client.get("/").text


def test_a_taken_port_is_named(pairing):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError,
            match=f"port {port} of 127.0.0.1 is not available .* choose another with --port",
        ):
            run_locally(create_app(pairing), port)


def test_ctrl_c_ends_it():
    imports = (
        "from starlette.applications import Starlette; from whet.serve.compare import run_locally"
    )
    script = f"{imports}; run_locally(Starlette(), 0)"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    assert httpx.get(re.search(r"http://127\.0\.0\.1:\d+/", said)[0]).status_code == 404
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert rest.strip() == "Stopped."
