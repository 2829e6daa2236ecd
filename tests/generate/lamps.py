"""Passages about lamps, replies of a chat server to prompts that show them, faults by passage."""

import json
import re

from whet.generate.config import GenerateConfig
from whet.generate.named import generator_of
from whet.generate.spending import agree
from whet.records import GenerationRequest, Passage

SWIFT = {"timeout": 0.5, "concurrency": 4}
SHOWN = re.compile(r"===== (\w+) =====\n(.*?)\n===== \1 =====", re.DOTALL)


def passages(count):
    return [
        Passage(f"p{number}", f"the lamp number {number} hangs in room {number * 7}")
        for number in range(count)
    ]


def passage_of(messages):
    """The text of the passage that a prompt shows, behind the query where there is one."""
    shown = SHOWN.findall(messages[-1]["content"])
    return shown[-1][1]


def number_of(messages):
    """The number of the lamp that a prompt shows."""
    return int(re.search(r"number (\d+) ", passage_of(messages))[1])


def query_reply(messages):
    """A reply with the query that `query_of` gives."""
    return json.dumps({"queries": [query_of(number_of(messages))]})


def query_of(number):
    return f"where is the lamp number {number}"


def faults_by_passage(faults, once=True):
    """A script of `chat_server.Chat`: faults by number of the lamp, the first time or always."""
    seen = set()

    def script(call_number, body):
        lamp = number_of(body["messages"])
        if lamp in faults and not (once and lamp in seen):
            seen.add(lamp)
            return faults[lamp]
        return ""

    return script


def generate(url, count, replies, confirm=agree, **config):
    """Have a served model write a query for each of `count` passages."""
    settings = GenerateConfig(generator=f"openai:tiny@{url}", **SWIFT | config)
    generator = generator_of(settings, "reverse", (), replies, confirm=confirm)
    requests = [GenerationRequest(passage) for passage in passages(count)]
    return generator.generate(requests)
