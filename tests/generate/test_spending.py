"""Limits hold whatever calls under way may bring; estimates and accounts are plain sums."""

import pytest

from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply
from whet.generate.spending import Spending, agree, refuse

PRICES = {"price_in": 2.0, "price_out": 10.0}


def test_calls_under_way_count_at_full_length():
    spending = Spending(GenerateConfig(reply_tokens=100, max_tokens=250))
    assert spending.begin(70) == ""  # 20 tokens in, up to 100 out
    assert spending.begin(70) == ""
    limit = "generate.max_tokens 250 would be passed"
    assert spending.begin(70) == limit
    spending.end(70, Reply("short", 20, 5))
    assert spending.begin(35) == limit  # 25 + 120 + 110 = 255
    assert spending.begin(0) == ""
    assert spending.calls == 3


def test_a_call_that_failed_leaves_its_tokens_to_others():
    spending = Spending(GenerateConfig(reply_tokens=100, max_tokens=130))
    for _ in range(3):
        assert spending.begin(70) == ""
        spending.end(70, None)
    assert (spending.calls, spending.tokens_in, spending.tokens_out) == (3, 0, 0)


def test_calls_and_money_are_limited():
    spending = Spending(GenerateConfig(max_calls=1))
    assert spending.begin(0) == ""
    assert spending.begin(0) == "generate.max_calls 1 is reached"
    dear = Spending(GenerateConfig(max_cost=0.001, reply_tokens=100, **PRICES))
    assert dear.begin(0) == ""  # 100 tokens out cost 0.001
    assert dear.begin(0) == "generate.max_cost 0.001 would be passed"


def test_a_limit_on_money_needs_both_prices():
    with pytest.raises(ConfigError, match="max_cost needs"):
        Spending(GenerateConfig(max_cost=1, price_in=1))


def test_estimates_and_accounts():
    spending = Spending(GenerateConfig(concurrency=4, **PRICES), 2, 1000, 500)
    assert spending.line() == "2 calls, 1,000 tokens in and 500 out, cost 0.01"
    assert spending.estimate([3500] * 300, 600) == (
        "300 calls, about 300,000 tokens in and 18,000 out, cost about 0.78, "
        "some 2 min at 4 calls at a time"
    )
    unpriced = Spending(GenerateConfig(), 1, 10, 5)
    assert unpriced.cost is None
    assert unpriced.line() == "1 calls, 10 tokens in and 5 out"
    assert "cost unknown (give generate.price_in and price_out)" in unpriced.estimate([10], 1)


def test_a_library_call_agrees_to_nothing_by_default():
    assert not refuse("100 calls. Go on?")
    assert agree("100 calls. Go on?")
