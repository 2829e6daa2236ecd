"""From passages alone to positive queries of hard negatives, by a language model.

Proved: synthetic training queries and positive queries are the model's, and each reply is paid for
once; from there `whet tune` goes on to a tuned model, also with a real model in this process.
"""

import json

import pytest
from chat_server import Chat, serving
from lamps import passage_of
from tiny_lm import PROMPT, last_words, trained_lm

from tiny import RECIPE
from whet.data.read import read
from whet.files import read_json
from whet.generate.spending import agree
from whet.generate.synthetic_queries import read_synthetic_queries
from whet.pipeline import build
from whet.records import Collection
from whet.run.opening import open_run

STYLES = {"styles": ["question"]}


@pytest.fixture
def corpus(tiny_data):
    """The tiny collection without its training queries; the real test queries stay."""
    whole = read(tiny_data)[0]
    judged = dict(list(whole.qrels["train"].items())[:60])
    queries = {query: whole.queries[query] for query in judged}
    return Collection("corpus", whole.passages, queries, {"test": judged})


def built(corpus, model, path, generate, until):
    overrides = RECIPE | {
        "generate": generate | {"passages": 100, "round_trip": 20},
        "max_length": 32,
        "train": RECIPE["train"] | {"epochs": 1},
    }
    run = open_run(corpus, str(model), path, overrides=overrides, confirm=agree, force=True)
    return build(run, until)


def check_queries(run):
    """Every synthetic query is the model's; the summary says what they cost."""
    queries = read_synthetic_queries(run.path / "queries")
    assert len(queries) > 50
    for query in queries:
        assert query.text == last_words(run.collection.passages[query.passage_id].text)
    spent = read_json(run.path / "queries" / "summary.json")["spent_so_far"]
    assert spent["calls"] == 100
    assert min(spent["tokens_in"], spent["tokens_out"]) > 0
    assert run.collection.synthetic == {"train"}
    assert read_json(run.path / "generate" / "summary.json")["generated"] > 0


def test_a_server_writes_queries_and_each_reply_is_paid_for_once(corpus, tiny_model, tmp_path):
    def reply(messages):
        return json.dumps({"queries": [last_words(passage_of(messages))]})

    chat = Chat(reply)
    path = tmp_path / "run"
    with serving(chat) as url:
        generate = STYLES | {"generator": f"vllm:tiny@{url}"}
        run = built(corpus, tiny_model, path, generate, "generate")
    check_queries(run)
    assert sum(chat.paid.values()) == chat.calls == len(chat.paid)
    # The server is gone, and nobody misses it.
    again = built(corpus, tiny_model, path, generate, "generate")
    assert again.collection.queries == run.collection.queries


@pytest.mark.slow
def test_from_passages_alone_to_a_tuned_model(corpus, tiny_model, tmp_path):
    assert trained_lm(tmp_path / "lm") > 0.99
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for purpose in ("queries", "reverse"):
        (prompts / f"{purpose}.txt").write_text(PROMPT)
    generate = STYLES | {
        "generator": f"local:{tmp_path / 'lm'}",
        "prompts": str(prompts),
        "reply_tokens": 16,
        "temperature": 0.0,
    }
    run = built(corpus, tiny_model, tmp_path / "run", generate, "model")
    check_queries(run)
    assert run.result["synthetic"] is False  # the test queries are real
    assert run.model.encode(["x"]).shape == (1, 32)
