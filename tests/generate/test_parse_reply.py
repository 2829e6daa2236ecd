"""Queries are read out of whatever a model replies: JSON, broken JSON, lists, lines.

Proved: JSON whole, fenced, nested, cut short or with faults gives its queries, and no half ones;
refusals and chatter give none; no reply takes long to read.
"""

import time

import pytest

from whet.generate.parse_reply import queries_in


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"queries": ["a b c", "d e f"]}', ("a b c", "d e f")),
        ('Sure!\n```json\n{"queries": ["a b c"]}\n```\nHope it helps', ("a b c",)),
        ('["a b c", "a b c", "d e f"]', ("a b c", "d e f")),
        ('{"queries": [{"query": "a b c"}, {"query": "d e f"}]}', ("a b c", "d e f")),
        ('{"queries": ["a b c", "d e f", "cut sho', ("a b c", "d e f")),
        ("<think>what could it be? {maybe}</think>a b c", ("a b c",)),
        ("what could it be?</think>\n\na b c", ("a b c",)),
        ('{"reasoning": "someone who", "queries": ["a b c"]}', ("a b c",)),
        ('{"reasoning": "someone who", "queries": ["a b c", "d e', ("a b c",)),
        ("Here are the queries:\n1. a b c\n2) d e f\n", ("a b c", "d e f")),
        ("- **a b c**\n- d e f", ("a b c", "d e f")),
        ("Query: „a b c“", ("a b c",)),
        ("東大寺はどこにありますか", ("東大寺はどこにありますか",)),
        ('{"queries": ["line\nbreak"]}', ("line break",)),
        ('{"queries": ["what is "x" for", "a b c"]}', ('what is "x" for', "a b c")),
        ("{'queries': ['a b c', 'd e f',]}", ("a b c", "d e f")),
        ('{"queries": ["a b c" "d e f"]}', ("a b c", "d e f")),
        ('{"queries": ["a b c", "d e f"', ("a b c", "d e f")),
        ('{"queries": ["a b c", "what\'s \\"this', ("a b c",)),
        ('```json\n{"queries": ["a \\"b\\" c",', ('a "b" c',)),
        ("[draft] a b c", ("[draft] a b c",)),
    ],
)
def test_queries_are_found(reply, expected):
    assert queries_in(reply, 5).texts == expected
    assert queries_in(reply, 1).texts == expected[:1]


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("", "empty reply"),
        ("<think>hm</think>", "empty reply"),
        ("<think>the key point is", "empty reply"),
        ('{"reasoning": "there is none", "queries": []}', "no query in the reply"),
        ("I'm sorry, but I cannot do that.", "refused"),
        ("As an AI language model I do not search.", "refused"),
        ('{"queries": ["Sorry, I will not"]}', "refused"),
        ("Here is a query:", "no query in the reply"),
        ('{"queries": []}', "no query in the reply"),
        ('{"queries": ["cut sho', "no query in the reply"),
        ('{"reasoning": "someone who', "no query in the reply"),
        ("[" * 20_000, "no query in the reply"),
    ],
)
def test_a_reply_without_a_query_has_a_reason(reply, failure):
    result = queries_in(reply, 3)
    assert (result.texts, result.failure) == ((), failure)


@pytest.mark.parametrize("unit", ['["', '{"a":', '{"queries": ["a "b" c', '"'])
def test_no_reply_takes_long_to_read(unit):
    start = time.process_time()
    queries_in(unit * (8000 // len(unit)), 3)
    assert time.process_time() - start < 10  # it takes a second; json_repair's time is quadratic
