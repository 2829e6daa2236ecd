"""Every reply is on disk before the next one is asked for; a killed process costs nothing.

Proved: what is put is found, by several hundred keys too; after a kill at a random call and a
second start, exactly one reply was paid for each passage.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from chat_server import Chat, serving
from lamps import query_reply

from whet.errors import ArtifactError
from whet.generate.reply_store import MAX_KEYS_PER_QUERY, Reply, ReplyStore, Usage, spent_in

PASSAGES = 25
# Built from parts and not by name: `whet.generate.named` imports torch, which takes seconds.
PROCESS = f"""
import sys
from pathlib import Path
from whet.generate.chat import ChatServer
from whet.generate.config import GenerateConfig
from whet.generate.model import ModelGenerator
from whet.generate.prompts import prompt_of
from whet.generate.reply_store import ReplyStore
from whet.generate.spending import Spending
from whet.records import GenerationRequest, Passage
config = GenerateConfig(concurrency=4)
server = ChatServer("openai", "tiny", sys.argv[1], config)
store = ReplyStore(Path(sys.argv[2]))
spending = Spending(config)
generator = ModelGenerator(server, prompt_of("reverse"), store, spending, lambda *calls: None)
passages = [Passage(str(n), f"the lamp number {{n}} hangs there") for n in range({PASSAGES})]
results = generator.generate([GenerationRequest(passage) for passage in passages])
assert all(result.texts for result in results)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replies.sqlite"


def test_what_is_put_is_found(path):
    store = ReplyStore(path)
    replies = {
        f"k{n}": Reply(f"wo\u2028 {n}?", n, 2 * n, 0.5) for n in range(MAX_KEYS_PER_QUERY + 1)
    }
    for key, reply in replies.items():
        store.put(key, reply)
    assert ReplyStore(path).find([*replies, "other"]) == replies
    store.put("k1", Reply("again"))
    assert store.find(["k1"]) == {"k1": Reply("again")}
    store.close()


def test_usage_is_the_sum_of_all_replies(path):
    assert spent_in(path) == {}
    store = ReplyStore(path)
    assert store.usage() == Usage(0, 0, 0)
    store.put("a", Reply("x", 3, 5))
    store.put("b", Reply("y", 10, 20))
    assert store.usage() == Usage(2, 13, 25)
    assert spent_in(path) == {"spent_so_far": {"calls": 2, "tokens_in": 13, "tokens_out": 25}}
    store.close()


def test_a_file_that_is_no_store_is_named(path):
    path.write_text("not a database, but as long as the header of one would be. " * 4)
    with pytest.raises(ArtifactError, match=r"replies.sqlite: cannot be used .* Move it away"):
        ReplyStore(path)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_killed_at_a_random_call_and_started_again_nothing_is_paid_twice(path, seed):
    fatal_call = random.Random(seed).randint(2, PASSAGES - 1)
    chat = Chat(query_reply)
    processes = []

    def kill(call_number):
        if call_number != fatal_call:
            return
        # What the server has answered must be stored first. What it has not is not paid for.
        deadline = time.monotonic() + 30
        while stored_calls(path) < sum(chat.paid.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(processes[0].pid, signal.SIGKILL)
        chat.clients += 1

    chat.before = kill
    with serving(chat) as url:
        command = [sys.executable, "-c", PROCESS, url, str(path)]
        processes.append(subprocess.Popen(command))
        assert processes[0].wait(60) == -signal.SIGKILL
        second = subprocess.run(command, check=False, timeout=60)
        assert second.returncode == 0
    assert len(chat.paid) == PASSAGES
    assert sum(chat.paid.values()) == PASSAGES


def stored_calls(path):
    spent = spent_in(path)
    return spent["spent_so_far"]["calls"] if spent else 0
