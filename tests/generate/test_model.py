"""A language model as a generator: equal calls are made once, replies are read from the store."""

import json
import logging

import pytest
from lamps import passages, query_of, query_reply

from whet.generate.config import GenerateConfig
from whet.generate.model import ModelGenerator
from whet.generate.prompts import prompt_of
from whet.generate.reply_store import Reply, ReplyStore
from whet.generate.spending import NOT_MADE, Spending
from whet.records import GenerationRequest


class Answerer:
    """Answers by a function of messages; some calls fail."""

    name = "tiny"
    fingerprint = "tiny"

    def __init__(self, reply_to=query_reply, tokens_out=10, failing=0, failure="HTTP 400"):
        self.reply_to = reply_to
        self.tokens_out = tokens_out
        self.failing = failing
        self.failure = failure
        self.calls = []

    def answer(self, calls, spending, on_reply):
        self.calls += calls
        for call in calls[self.failing :]:
            on_reply(call, Reply(self.reply_to(call.messages), 100, self.tokens_out))
        return {call.key: self.failure for call in calls[: self.failing]}


@pytest.fixture
def model(tmp_path):
    """Return a function from an answerer to a generator; all of a test share one store."""
    store = ReplyStore(tmp_path / "replies.sqlite")

    def generator(answerer, check_costs=lambda calls, queries: None):
        spending = Spending(GenerateConfig(reply_tokens=16))
        return ModelGenerator(answerer, prompt_of("reverse"), store, spending, check_costs)

    yield generator
    store.close()


def requests(count):
    return [GenerationRequest(passage) for passage in passages(count)]


def test_equal_requests_share_a_call_and_stored_replies_need_none(model):
    answerer = Answerer()
    results = model(answerer).generate([*requests(3), *requests(2)])
    assert [result.texts for result in results] == [(query_of(n),) for n in (0, 1, 2, 0, 1)]
    assert len(answerer.calls) == 3
    assert model(answerer).generate(requests(4))[:3] == results[:3]
    assert len(answerer.calls) == 4


def test_costs_are_checked_for_the_calls_that_are_missing(model):
    seen = []

    def check_costs(calls, queries):
        seen.append((len(calls), queries))

    answerer = Answerer()
    model(answerer, check_costs).generate(requests(2))
    model(answerer, check_costs).generate(requests(5))
    assert seen == [(2, 2), (3, 3)]


def test_failures_come_back_and_are_counted(model, caplog):
    caplog.set_level(logging.INFO)
    results = model(Answerer(failing=2)).generate(requests(5))
    assert [result.failure for result in results] == ["HTTP 400", "HTTP 400", "", "", ""]
    assert "tiny: 0 calls" in caplog.text
    assert "2 of 5 calls failed" in caplog.text


def test_calls_that_a_limit_forbade_are_no_failures(model, caplog):
    caplog.set_level(logging.INFO)
    limit = "generate.max_calls 3 is reached"
    results = model(Answerer(failing=2, failure=f"{NOT_MADE}{limit}")).generate(requests(5))
    assert results[0].failure == f"not asked: {limit}"
    assert f"0 of 5 calls failed; 2 not made: {limit}; raise it" in caplog.text


def test_a_reply_that_its_limit_cut_short_says_so(model, caplog):
    def think(messages):
        return "<think>what could it be"

    assert model(Answerer(think)).generate(requests(2))[0].failure == "empty reply"
    results = model(Answerer(think, tokens_out=16)).generate(requests(4)[2:])
    message = "cut short at generate.reply_tokens (16): raise"
    assert all(result.failure.startswith(message) for result in results)
    assert "2 of 2 replies hold no query and were cut short" in caplog.text


def test_no_more_queries_are_taken_than_were_asked_for(model):
    def three(messages):
        return json.dumps({"queries": ["a b c", "d e f", "g h i"]})

    request = GenerationRequest(passages(1)[0], count=2)
    assert model(Answerer(three)).generate([request])[0].texts == ("a b c", "d e f")
