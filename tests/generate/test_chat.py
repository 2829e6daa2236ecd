"""Language models behind a real HTTP server that faults on a script.

Proved: every passage gets its query or a recorded reason, in order; no reply is paid for twice;
limits on spending hold with many calls under way; the server's pauses are kept, and a limited rate
fails no passage; what concerns all calls ends the work at once; and no key comes out anywhere.
"""

import logging
import time

import pytest
from chat_server import Chat, serving
from lamps import SWIFT, faults_by_passage, generate, passage_of, query_of, query_reply

from whet.errors import ConfigError, GeneratorError
from whet.generate.chat import ChatServer
from whet.generate.config import GenerateConfig


@pytest.fixture
def generated(tmp_path):
    """Return a function as `lamps.generate`, with one store for all calls of a test."""

    def generate_here(url, count, **config):
        return generate(url, count, tmp_path / "replies.sqlite", **config)

    return generate_here


def have_texts(results):
    return [bool(result.texts) for result in results]


def test_every_passage_gets_its_query_in_order_whatever_the_server_does(generated, caplog):
    caplog.set_level(logging.INFO)
    faults = {2: "429", 3: "500", 5: "slow", 7: "cut", 11: "429", 12: "500"}
    lost = {4: "malformed", 6: "empty choices", 8: "refusal"}
    chat = Chat(query_reply, faults_by_passage(faults | lost))
    with serving(chat) as url:
        results = generated(url, 20)
        for number, result in enumerate(results):
            assert result.texts == (() if number in lost else (query_of(number),))
        failures = [results[number].failure for number in lost]
        assert failures == ["empty reply", "empty reply", "refused"]
        assert set(chat.paid.values()) == {1}
        assert len(chat.paid) == 20
        calls = chat.calls
        assert calls == 20 + len(faults)
        assert generated(url, 20) == results
        assert chat.calls == calls  # all of it came from the store, bad replies too
    assert "0 of 20 calls failed" in caplog.text


def test_what_always_fails_is_recorded_and_tried_again_the_next_time(generated):
    chat = Chat(query_reply, faults_by_passage({1: "500", 2: "400"}, once=False))
    with serving(chat) as url:
        results = generated(url, 4, tries=2)
        assert results[1].failure.startswith("given up after 2 tries: HTTP 500")
        assert results[2].failure.startswith("HTTP 400")
        assert chat.calls == 1 + 2 + 1 + 1
        chat.script = lambda number, body: ""
        assert all(have_texts(generated(url, 4)))
        assert set(chat.paid.values()) == {1}


def test_a_server_that_knows_no_schema_is_asked_without(generated):
    chat = Chat(lambda messages: f'Here you are:\n1. "{passage_of(messages)[4:15]}"')
    chat.script = lambda number, body: "no schema" if "response_format" in body else ""
    with serving(chat) as url:
        results = generated(url, 6, concurrency=1)
    assert [result.texts for result in results] == [("lamp number",)] * 6
    assert chat.calls == 7


def test_a_server_is_asked_as_its_newer_models_want_it(generated):
    def refuse_options(number, body):
        if "max_tokens" in body:
            return "no limit"
        return "no temperature" if "temperature" in body else ""

    chat = Chat(query_reply, refuse_options)
    with serving(chat) as url:
        assert all(have_texts(generated(url, 6, concurrency=1)))
    assert chat.calls == 8
    assert chat.bodies[-1]["max_completion_tokens"] > 0
    assert chat.bodies[-1].keys().isdisjoint(["max_tokens", "temperature"])


@pytest.mark.parametrize(
    ("limits", "most_calls"),
    [
        ({"max_calls": 5}, 5),
        ({"max_tokens": 1000}, 9),
        ({"max_cost": 0.5, "price_in": 1000, "price_out": 100}, 4),
    ],
)
def test_limits_hold_with_many_calls_under_way_and_over_repeated_runs(
    generated, limits, most_calls
):
    chat = Chat(query_reply, delay=0.02)
    with serving(chat) as url:
        results = generated(url, 30, concurrency=16, reply_tokens=16, **limits)
        assert 0 < chat.calls <= most_calls
        assert sum(have_texts(results)) == chat.calls
        failures = [result.failure for result in results if not result.texts]
        assert all(failure.startswith("not asked: generate.max_") for failure in failures)
        generated(url, 30, concurrency=16, reply_tokens=16, **limits)
        assert chat.calls <= most_calls


def test_a_limit_is_used_up_before_passages_are_given_up(generated):
    """A call counts as 64 tokens while it is under way, and takes 10: most of the limit is left."""
    chat = Chat(query_reply, delay=0.02)
    prices = {"max_cost": 0.003, "price_in": 0.0, "price_out": 10.0}
    with serving(chat) as url:
        generated(url, 30, concurrency=16, reply_tokens=64, **prices)
    assert chat.calls == 24  # 24 · 10 tokens cost 0.0024; one more might take 64 tokens


def test_the_servers_pause_is_kept(generated):
    times = []

    def script(number, body):
        times.append(time.monotonic())
        return "429" if number == 1 else ""

    with serving(Chat(query_reply, script)) as url:
        generated(url, 3, concurrency=1)
    assert times[1] - times[0] > 0.045  # Retry-After is 0.05


def test_calls_run_side_by_side(generated):
    chat = Chat(query_reply, delay=0.05)
    with serving(chat) as url:
        generated(url, 24, concurrency=8)
    assert chat.most_under_way == 8


def test_a_burst_of_refusals_fails_no_passage(generated):
    chat = Chat(query_reply, lambda number, body: "429" if number <= 30 else "")
    with serving(chat) as url:
        assert all(have_texts(generated(url, 40, concurrency=16)))
    assert set(chat.paid.values()) == {1}


def test_a_limited_rate_slows_calls_down_and_fails_none(generated, monkeypatch):
    """With two tries, a call is often refused in all of them, and made again."""
    monkeypatch.setattr("whet.generate.chat.RATE_PAUSE_SECONDS", 0.05)
    chat = Chat(query_reply, delay=0.02)
    chat.script = lambda number, body: "429" if chat.under_way > 2 else ""
    with serving(chat) as url:
        assert all(have_texts(generated(url, 24, concurrency=12, tries=2)))
    assert chat.calls > 24 + 12
    assert set(chat.paid.values()) == {1}


def test_a_rate_limit_without_end_ends_the_work(generated, monkeypatch):
    monkeypatch.setattr("whet.generate.chat.RATE_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("whet.generate.chat.RATE_PATIENCE_SECONDS", 0.3 - SWIFT["timeout"])
    message = r"no reply for \d+ s; the last: HTTP 429"
    chat = Chat(query_reply, lambda number, body: "429")
    with serving(chat) as url, pytest.raises(GeneratorError, match=message):
        generated(url, 4, tries=2)


def test_a_server_that_forbids_another_try_is_not_asked_again(generated):
    chat = Chat(query_reply, lambda number, body: "no quota")
    message = r"HTTP 429: .*no quota"
    with serving(chat) as url, pytest.raises(GeneratorError, match=message):
        generated(url, 20)
    assert chat.calls <= SWIFT["concurrency"]


def test_a_server_that_dies_half_way_ends_the_work_and_replies_are_kept(generated):
    chat = Chat(query_reply)
    with serving(chat) as url:
        generated(url, 20)
        chat.script = lambda number, body: "500"
        message = r"4 tries failed in a row; the last: HTTP 500"
        with pytest.raises(GeneratorError, match=message):
            generated(url, 40, concurrency=2, tries=2)
        chat.script = lambda number, body: ""
        assert all(have_texts(generated(url, 40)))
    assert set(chat.paid.values()) == {1}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"], ids=["here", "elsewhere"])
def test_a_server_that_is_not_there_is_given_up(generated, host, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key")
    message = rf"http://{host}:9/v1 does not answer: .* Is the server of tiny running"
    with pytest.raises(GeneratorError, match=message):
        generated(f"http://{host}:9/v1", 40, concurrency=2, tries=1)


def test_a_wrong_key_ends_it_and_no_key_is_ever_shown(generated, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    chat = Chat(query_reply, lambda number, body: "401")
    with serving(chat) as url:
        with pytest.raises(GeneratorError, match="does not take the key") as raised:
            generated(url, 50)
        assert chat.calls <= SWIFT["concurrency"]
        chat.script = faults_by_passage({0: "400"})
        generated(url, 3)
    assert chat.keys == {"Bearer sk-secret-key"}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert b"secret" not in b"".join(files)
    assert "secret" not in str(raised.value) + caplog.text


def test_a_server_elsewhere_needs_a_key_and_its_address_holds_none(monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="needs a key: export GEMINI_API_KEY="):
        ChatServer("gemini", "flash", None, GenerateConfig())
    with pytest.raises(ConfigError, match="keep the key out of the address"):
        ChatServer("vllm", "x", "http://me:pw@host/v1", GenerateConfig())
    assert ChatServer("ollama", "x", None, GenerateConfig()).url == "http://localhost:11434/v1"


def test_it_works_where_a_loop_is_running_as_in_a_notebook(generated):
    import asyncio

    async def cell(url):
        return generated(url, 3)

    with serving(Chat(query_reply)) as url:
        assert all(have_texts(asyncio.run(cell(url))))
