"""Generators by name; nothing that costs money is done before somebody agrees."""

import logging

import pytest
from chat_server import Chat, serving
from lamps import generate, passages, query_reply

from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.named import check_generator, check_generator_name, generator_of, local_model
from whet.generate.spending import refuse


@pytest.mark.parametrize(
    "name", ["offline", "local:folder", "ollama:qwen3", "openai:gpt@http://here/v1"]
)
def test_names_that_mean_a_generator(name):
    check_generator_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("olama:x", "'olama:x': there is none of that name. Did you mean ollama:MODEL"),
        ("ofline", r"Did you mean offline\?"),
        ("local:", "Expected offline .*, local:MODEL .*, or openai:MODEL, gemini:MODEL"),
        ("vllm:x@http://host/v1?key=sk-secret", "keep the key out of the address"),
    ],
)
def test_names_that_mean_none(name, message):
    with pytest.raises(ConfigError, match=message):
        check_generator_name(name)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GenerateConfig(paraphrases=2), "paraphrases need a language model"),
        (GenerateConfig(generator="ollama:x", max_cost=1), "max_cost needs"),
    ],
)
def test_a_generator_that_cannot_do_its_work_is_refused_at_once(config, message):
    with pytest.raises(ConfigError, match=message):
        check_generator(config)


def test_the_offline_generator_needs_no_store(tmp_path):
    replies = tmp_path / "replies.sqlite"
    generator = generator_of(GenerateConfig(), "queries", passages(3), replies)
    assert isinstance(generator, ExtractiveGenerator)
    assert not replies.exists()


def test_only_local_models_have_files():
    assert local_model("local:some/folder") == "some/folder"
    assert local_model("ollama:x") == local_model("offline") == ""


def test_costs_are_agreed_to_before_the_first_call(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    replies = tmp_path / "replies.sqlite"
    questions = []

    def ask(question):
        questions.append(question)
        return True

    chat = Chat(query_reply)
    with serving(chat) as url:
        estimate = r"tiny: 3 calls, about \d+ tokens in and 90 out, cost unknown.*--yes"
        with pytest.raises(ConfigError, match=estimate):
            generate(url, 3, replies, confirm=refuse)
        assert chat.calls == 0
        generate(url, 3, replies, confirm=ask)
        assert chat.calls == 3
        assert len(questions) == 1
        assert questions[0].endswith("calls at a time. Go on?")
        assert "tiny: 3 calls, about" in caplog.text
        generate(url, 3, replies, confirm=refuse)  # nothing is left to agree to
    assert chat.calls == 3
