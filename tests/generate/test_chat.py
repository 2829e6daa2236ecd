"""Language models behind a real HTTP server that faults on a script.

Proved: every passage gets its query or a recorded reason, in order; nothing that was answered is asked for again,
whatever the answer was, also when the process was killed at a random call; caps hold with many calls under way; the
server's pauses are kept; what concerns all calls ends the work at once; and no key comes out anywhere.
"""

import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generate.chat_server import Chat, serving
from whet.errors import ConfigError, GeneratorError
from whet.generate.config import GenerateConfig
from whet.generate.named import check_generator, check_generator_name, generator_of
from whet.generate.reply_store import spent_in
from whet.generate.spending import refuse
from whet.records import GenerationRequest, Passage

SWIFT = {"timeout": 0.5, "concurrency": 4}
INSIDE = re.compile(r"===== (\w+) =====\n(.*)\n===== \1 =====", re.DOTALL)


def agree(question):
    return True


def passages(count):
    return [
        Passage(f"p{at}", f"the lamp number {at} hangs in room {at * 7}") for at in range(count)
    ]


def shown(messages):
    """The passage of a prompt."""
    return INSIDE.search(messages[-1]["content"])[2]


def ask_for(messages):
    return json.dumps({"queries": [f"where is {shown(messages)[:18]}"]})


def by_passage(faults, once=True):
    """A script that faults for passages by number, the first time or always."""
    seen = set()

    def script(number, body):
        at = int(re.search(r"number (\d+) ", shown(body["messages"]))[1])
        if at in faults and not (once and at in seen):
            seen.add(at)
            return faults[at]
        return ""

    return script


@pytest.fixture
def written(tmp_path):
    """Return a function that has a served model write for passages, with one store for all calls of a test."""

    def write(url, count, confirm=agree, **config):
        chosen = GenerateConfig(generator=f"openai:tiny@{url}", **SWIFT | config)
        generator = generator_of(chosen, "reverse", (), tmp_path / "replies.sqlite", confirm=confirm)
        return generator.generate([GenerationRequest(passage) for passage in passages(count)])

    return write


def test_every_passage_gets_its_query_in_order_whatever_the_server_does(written, caplog):
    caplog.set_level(logging.INFO)
    faults = {2: "429", 3: "500", 5: "slow", 7: "cut", 11: "429", 12: "500"}
    lost = {4: "malformed", 6: "empty choices", 8: "refusal"}
    chat = Chat(ask_for, by_passage(faults | lost))
    with serving(chat) as url:
        found = written(url, 20)
        for at, one in enumerate(found):
            expected = () if at in lost else (f"where is the lamp number {at} "[:27].strip(),)
            assert one.texts == expected, (at, one)
        assert [found[at].failure for at in lost] == ["empty reply", "empty reply", "refused"]
        assert set(chat.paid.values()) == {1}
        assert len(chat.paid) == 20
        calls = chat.calls
        assert calls == 20 + len(faults)
        assert written(url, 20) == found
        assert chat.calls == calls  # all of it came from the store, bad answers too
    assert "0 of 20 calls failed" in caplog.text


def test_what_always_fails_is_recorded_and_asked_again_the_next_time(written):
    chat = Chat(ask_for, by_passage({1: "500", 2: "400"}, once=False))
    with serving(chat) as url:
        found = written(url, 4, tries=3)
        assert found[1].failure.startswith("given up after 3 tries: HTTP 500")
        assert found[2].failure.startswith("HTTP 400")
        assert chat.calls == 1 + 3 + 1 + 1
        chat.script = lambda number, body: ""
        assert all(one.texts for one in written(url, 4))
        assert set(chat.paid.values()) == {1}


def test_a_server_that_knows_no_schema_is_asked_without(written):
    chat = Chat(lambda messages: f'Here you are:\n1. "{shown(messages)[4:15]}"')
    chat.script = lambda number, body: "no schema" if "response_format" in body else ""
    with serving(chat) as url:
        found = written(url, 6, concurrency=1)
    assert [one.texts for one in found] == [("lamp number",)] * 6
    assert chat.calls == 7


def test_a_reply_that_its_limit_cut_short_says_so(written, caplog):
    chat = Chat(lambda messages: "<think>what could it be")
    with serving(chat) as url:
        assert written(url, 2)[0].failure == "empty reply"
        chat.tokens_out = 16
        assert written(url, 2, reply_tokens=16)[0].failure.startswith(
            "cut short at generate.reply_tokens (16): raise"
        )
    assert "2 of 2 replies hold no query and were cut short" in caplog.text


@pytest.mark.parametrize(
    ("caps", "most"),
    [
        ({"max_calls": 5}, 5),
        ({"max_tokens": 1000}, 9),
        ({"max_cost": 0.5, "price_in": 1000, "price_out": 100}, 4),
    ],
)
def test_caps_hold_with_many_calls_under_way_and_over_repeated_runs(written, caps, most):
    chat = Chat(ask_for, delay=0.02)
    with serving(chat) as url:
        first = written(url, 30, concurrency=16, reply_tokens=16, **caps)
        assert 0 < chat.calls <= most
        assert sum(bool(one.texts) for one in first) == chat.calls
        assert all(
            one.failure.startswith("not asked: generate.max_") for one in first if not one.texts
        )
        written(url, 30, concurrency=16, reply_tokens=16, **caps)
        assert chat.calls <= most


def test_a_cap_is_used_up_before_passages_are_given_up(written):
    """A call is counted at 64 tokens out while it is under way, and takes 10: most of the cap is left to others."""
    chat = Chat(ask_for, delay=0.02)
    with serving(chat) as url:
        written(
            url, 30, concurrency=16, reply_tokens=64, max_cost=0.003, price_in=0.0, price_out=10.0
        )
    assert chat.calls == 24  # 24 · 10 tokens are 0.0024; a further one might take 64 more


def test_the_servers_pause_is_kept_and_fewer_calls_are_made_at_a_time(written):
    pauses = []

    def script(number, body):
        pauses.append(time.monotonic())
        return "429" if number == 1 else ""

    chat = Chat(ask_for, script)
    with serving(chat) as url:
        written(url, 3, concurrency=1)
    assert pauses[1] - pauses[0] > 0.045


def test_calls_run_side_by_side(written):
    chat = Chat(ask_for, delay=0.05)
    with serving(chat) as url:
        written(url, 24, concurrency=8)
    assert chat.most_under_way == 8


def test_a_wrong_key_ends_it_and_no_key_is_ever_shown(written, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    chat = Chat(ask_for, lambda number, body: "401")
    with serving(chat) as url:
        with pytest.raises(GeneratorError, match="does not take the key") as raised:
            written(url, 50)
        assert chat.calls <= SWIFT["concurrency"]
        chat.script = by_passage({0: "400"})
        written(url, 3)
    assert chat.keys == {"Bearer sk-secret-key"}
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret" not in kept
    assert "secret" not in str(raised.value) + caplog.text


def test_a_server_that_is_not_there_is_given_up(written):
    with pytest.raises(
        GeneratorError,
        match=r"http://127.0.0.1:9/v1 does not answer: .* Is the server of tiny running",
    ):
        written("http://127.0.0.1:9/v1", 40, concurrency=2)


def test_a_burst_of_refusals_is_no_dead_server_but_one_that_dies_half_way_is(written):
    chat = Chat(ask_for, lambda number, body: "429" if number <= 30 else "")
    with serving(chat) as url:
        assert all(one.texts for one in written(url, 40, concurrency=16))
        chat.script = lambda number, body: "500"
        with pytest.raises(GeneratorError, match=r"6 tries failed in a row; the last: HTTP 500"):
            written(url, 60, concurrency=2, tries=3)
        chat.script = lambda number, body: ""
        assert all(one.texts for one in written(url, 60))
    assert set(chat.paid.values()) == {1}


def test_names_keys_and_agreement(written, monkeypatch, tmp_path):
    for name in ("offline", "local:folder", "ollama:qwen3", "openai:gpt@http://here/v1"):
        check_generator_name(name)
    with pytest.raises(
        ConfigError,
        match=r"generator 'olama:x': there is none of that name. Did you mean ollama:MODEL",
    ):
        check_generator_name("olama:x")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="needs a key: export GEMINI_API_KEY="):
        generator_of(GenerateConfig(generator="gemini:flash"), "reverse", (), tmp_path / "r")
    with pytest.raises(ConfigError, match="keep the key out of the address"):
        check_generator_name("vllm:x@http://host/v1?key=sk-secret")
    with pytest.raises(ConfigError, match="paraphrases need a language model"):
        check_generator(GenerateConfig(paraphrases=2))
    with pytest.raises(ConfigError, match="keep the key out of the address"):
        generator_of(
            GenerateConfig(generator="vllm:x@http://me:pw@host/v1"), "reverse", (), tmp_path / "r"
        )
    with pytest.raises(ConfigError, match="max_cost needs"):
        generator_of(
            GenerateConfig(generator="ollama:x", max_cost=1), "reverse", (), tmp_path / "r"
        )
    chat = Chat(ask_for)
    with serving(chat) as url:
        with pytest.raises(
            ConfigError, match=r"3 calls, about \d+ tokens in and 90 out, cost unknown.*--yes"
        ):
            written(url, 3, confirm=refuse)
        assert chat.calls == 0
        written(url, 3)
        written(url, 3, confirm=refuse)  # nothing is left to agree to


KILLED = """
import sys
from pathlib import Path
from generate.test_chat import agree, passages, SWIFT
from whet.generate.config import GenerateConfig
from whet.generate.named import generator_of
from whet.records import GenerationRequest
config = GenerateConfig(generator=f"openai:tiny@{sys.argv[1]}", **SWIFT | {"timeout": 30})
found = generator_of(config, "reverse", (), Path(sys.argv[2]), confirm=agree).generate([GenerationRequest(p) for p in passages(25)])
assert all(one.texts for one in found)
"""


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_call_and_started_again_nothing_is_paid_twice(tmp_path, seed):
    fatal = random.Random(seed).randint(2, 24)
    chat, running = Chat(ask_for), []

    def kill(number):
        if number == fatal:
            for _ in range(
                600
            ):  # until what the server has answered is stored; what it has not is not paid for
                if stored() >= sum(chat.paid.values()):
                    break
                time.sleep(0.05)
            os.kill(running[0].pid, signal.SIGKILL)
            chat.clients += 1

    def stored():
        return spent_in(tmp_path / "replies.sqlite").get("spent_so_far", {"calls": 0})["calls"]

    chat.before = kill
    here = str(Path(__file__).parents[1])
    with serving(chat) as url:
        command = [sys.executable, "-c", KILLED, url, str(tmp_path / "replies.sqlite")]
        environment = os.environ | {"PYTHONPATH": here}
        running.append(subprocess.Popen(command, env=environment))
        assert running[0].wait(60) == -signal.SIGKILL
        assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 0
    assert len(chat.paid) == 25
    assert sum(chat.paid.values()) == 25


def test_a_server_is_asked_as_its_newer_models_want_it(written):
    def refuse(number, body):
        return (
            "no limit"
            if "max_tokens" in body
            else "no temperature"
            if "temperature" in body
            else ""
        )

    chat = Chat(ask_for, refuse)
    with serving(chat) as url:
        found = written(url, 6, concurrency=1)
    assert all(one.texts for one in found)
    assert chat.calls == 8
    assert chat.bodies[-1]["max_completion_tokens"] > 0
    assert chat.bodies[-1].keys().isdisjoint(["max_tokens", "temperature"])
