import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from starlette.testclient import TestClient

from whet.errors import ConfigError
from whet.serve.compare import create_app, run_locally
from whet.serve.ranks import rank_both

SERVER = """
import logging
from starlette.applications import Starlette
from whet.serve.compare import run_locally

logging.basicConfig(level="INFO", format="%(message)s")
run_locally(Starlette(), 0)
"""


@pytest.fixture(scope="module")
def client(models):
    with TestClient(create_app(models), base_url="http://localhost") as client:
        yield client


def test_the_front_page_shows_the_examples(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "2 → 1" in page.text
    assert "/?q=Which%20cat%3F" in page.text


def test_results_are_side_by_side_with_marks(client, models):
    page = client.get("/", params={"q": "which cat?"}).text
    left, right = page.split("<h2>Tuned")
    results = rank_both(models, "which cat?")
    assert page.count("✓ known positive") == 2 * 2
    assert "of this query, from the test split" in left
    for item in results.tuned:
        assert f"{item.tuned_score:.3f}" in right
        assert f"{item.base_score:.3f}" in left
        note = "as before" if item.ranks_won == 0 else f"was {item.base_rank}"
        assert note in right


def test_a_training_query_is_marked_as_one(client):
    page = client.get("/", params={"q": "which fish"}).text
    assert "the tuned model was trained on them" in page


def test_what_users_write_is_never_markup(client):
    page = client.get("/", params={"q": "a <script>bird</script>"}).text
    assert "<script" not in page
    assert "&lt;script&gt;bird" in page
    assert "&lt;b&gt;fish&lt;/b&gt;" in page
    assert "Cats &amp; dogs" in page
    assert "sharp &lt;1&gt;" in page


def test_nothing_is_fetched_from_elsewhere_and_no_other_host_gets_an_answer(client):
    page = client.get("/", params={"q": "cat"})
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"(src|href|action)=.?(https?:)?//", page.text)
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/").status_code == 405


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_query_is_the_front_page(client, query):
    assert client.get("/", params={"q": query}).text == client.get("/").text


def test_a_port_in_use_is_named(models):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = f"port {port} of 127.0.0.1 is not available .* choose another with --port"
        with pytest.raises(ConfigError, match=message):
            run_locally(create_app(models), port)


def test_ctrl_c_stops_it():
    command = [sys.executable, "-c", SERVER]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    first_line = process.stderr.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/", first_line)[0]
    assert httpx.get(address).status_code == 404
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert rest.strip() == "Stopped."
