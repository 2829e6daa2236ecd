"""Language models in this process: real ones, but random and small.

Proved: a reply is what the model writes for its prompt alone, whatever shares its batch; replies
are stored, and the same calls get the same ones; limits hold; chat models get their template; and
a sequence-to-sequence model writes too.
"""

import numpy as np
import pytest
import torch
from tiny_lm import TOKEN_IDS, random_lm, tiny_tokenizer
from transformers import T5Config, T5ForConditionalGeneration

from tiny import WORDS
from whet.errors import ConfigError
from whet.generate.answerer import Call
from whet.generate.config import GenerateConfig
from whet.generate.local import BATCH_SIZE, LocalModel
from whet.generate.named import generator_of
from whet.generate.spending import Spending
from whet.records import GenerationRequest, Passage

GREEDY = {"reply_tokens": 16, "temperature": 0.0}
CALLS = BATCH_SIZE + 3
TEMPLATE = "{% for message in messages %}{{ message['content'] }} ? {% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of a random model."""
    folder = tmp_path_factory.mktemp("lm")
    random_lm(folder)
    return folder


@pytest.fixture(scope="module")
def calls():
    """Calls with prompts of 3 to 20 words."""
    rng = np.random.default_rng(1)
    prompts = [" ".join(rng.choice(WORDS, int(rng.integers(3, 21)))) for _ in range(CALLS)]
    return [
        Call(f"k{number}", [{"role": "user", "content": prompt}])
        for number, prompt in enumerate(prompts)
    ]


def replies_of(model, calls):
    """Key of the call → its reply."""
    replies = {}

    def on_reply(call, reply):
        assert call.key not in replies
        replies[call.key] = reply

    assert model.answer(calls, Spending(model.config), on_reply) == {}
    return replies


def test_a_reply_is_what_the_model_writes_for_its_prompt_alone(folder, calls):
    model = LocalModel(str(folder), GenerateConfig(**GREEDY))
    replies = replies_of(model, calls)
    assert len(replies) == CALLS
    lm = random_lm(folder)
    tokenizer = tiny_tokenizer()
    for call in calls:
        prompt = tokenizer(call.messages[0]["content"], return_tensors="pt")["input_ids"]
        mask = torch.ones_like(prompt)
        with torch.inference_mode():
            output = lm.eval().generate(
                prompt, attention_mask=mask, max_new_tokens=16, do_sample=False
            )
        written = output[0, prompt.shape[1] :]
        reply = replies[call.key]
        assert reply.text == tokenizer.decode(written, skip_special_tokens=True)
        assert (reply.tokens_in, reply.tokens_out) == (prompt.shape[1], len(written))


def test_the_same_calls_get_the_same_sampled_replies(folder, calls):
    config = GenerateConfig(reply_tokens=16, temperature=1.0)
    texts = []
    for _ in range(2):
        torch.rand(1)  # the state of torch's own generator changes nothing, and is kept
        state = torch.get_rng_state()
        replies = replies_of(LocalModel(str(folder), config), calls)
        assert torch.equal(torch.get_rng_state(), state)
        texts.append({key: reply.text for key, reply in replies.items()})
    assert texts[0] == texts[1]
    greedy = replies_of(LocalModel(str(folder), GenerateConfig(**GREEDY)), calls)
    assert any(greedy[key].text != text for key, text in texts[0].items())


def passages(count):
    rng = np.random.default_rng(2)
    return [Passage(f"p{number}", " ".join(rng.choice(WORDS, 6))) for number in range(count)]


def test_replies_are_stored_and_nothing_is_asked_twice(folder, tmp_path):
    requests = [GenerationRequest(passage) for passage in passages(10)]
    config = GenerateConfig(generator=f"local:{folder}", **GREEDY)
    first = generator_of(config, "reverse", (), tmp_path / "replies.sqlite")
    results = first.generate(requests)
    assert first.spending.calls == 10
    again = generator_of(config, "reverse", (), tmp_path / "replies.sqlite")
    assert again.generate(requests[::-1]) == results[::-1]
    assert again.spending.calls == 10


def test_limits_hold(folder, tmp_path):
    config = GenerateConfig(generator=f"local:{folder}", max_calls=3, **GREEDY)
    generator = generator_of(config, "reverse", (), tmp_path / "replies.sqlite")
    results = generator.generate([GenerationRequest(passage) for passage in passages(10)])
    limit = "not asked: generate.max_calls 3 is reached"
    assert [result.failure for result in results].count(limit) == 7


def test_a_model_that_is_not_there_is_named(tmp_path):
    config = GenerateConfig(generator="local:no/such/folder")
    with pytest.raises(ConfigError, match=r"generator local:no/such/folder cannot be loaded"):
        generator_of(config, "reverse", (), tmp_path / "replies.sqlite")


def test_only_chat_models_get_instructions(folder, tmp_path):
    random_lm(tmp_path / "chat")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(tmp_path / "chat")
    prompts = {}
    for name, path in (("plain", folder), ("reverse", tmp_path / "chat")):
        config = GenerateConfig(generator=f"local:{path}", **GREEDY)
        generator = generator_of(config, "reverse", (), tmp_path / "replies.sqlite")
        prompts[name] = generator.prompt.path.stem
    assert prompts == {"plain": "plain", "reverse": "reverse"}
    messages = [{"role": "system", "content": "ba"}, {"role": "user", "content": "de"}]
    chat = LocalModel(str(tmp_path / "chat"), GenerateConfig(**GREEDY))
    assert replies_of(chat, [Call("k", messages)])["k"].tokens_in == 4  # ba ? de ?


def test_a_sequence_to_sequence_model_writes_too(tmp_path):
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(TOKEN_IDS),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    tiny_tokenizer().save_pretrained(tmp_path / "t5")
    settings = GenerateConfig(generator=f"local:{tmp_path / 't5'}", reply_tokens=16)
    generator = generator_of(settings, "queries", (), tmp_path / "replies.sqlite")
    results = generator.generate([GenerationRequest(passage) for passage in passages(3)])
    assert len(results) == 3
    assert all(bool(result.texts) != bool(result.failure) for result in results)
