"""Real language models end to end: trained by the test, in this process and behind their own server; nothing is mocked.

Proved: a local model's replies are what it writes by itself, whatever their batch, and are kept; `whet tune` goes from
passages alone to a tuned model with either; h* of mined negatives come from it; few pairs get other wordings, for
training alone; and a sequence-to-sequence model writes, too.
"""

import json

import numpy as np
import pytest

from generate.chat_server import Chat, serving
from generate.test_chat import shown
from generate.tiny_lm import COPIED, PROMPT, tiny_lm
from tiny import RECIPE, WORDS
from whet.artifacts import read_json, read_jsonl
from whet.data.read import read
from whet.errors import ConfigError
from whet.generate.chat import Request
from whet.generate.config import GenerateConfig
from whet.generate.local import LocalModel
from whet.generate.named import generator_of
from whet.generate.paraphrases import is_paraphrase
from whet.generate.spending import Spending
from whet.pipeline import build
from whet.records import Collection, GenerationRequest, Passage
from whet.run.opening import open_run
from whet.stages.audit import find_candidates


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of the language model, and of the prompt that it knows."""
    folder = tmp_path_factory.mktemp("lm")
    assert tiny_lm(folder / "model") > 0.99
    (folder / "prompts").mkdir()
    for purpose in ("queries", "reverse", "paraphrases"):
        (folder / "prompts" / f"{purpose}.txt").write_text(PROMPT)
    return folder


@pytest.fixture
def config(model):
    """Return a function from settings to a config of the local model."""

    def of(**settings):
        base = {
            "generator": f"local:{model / 'model'}",
            "prompts": str(model / "prompts"),
            "reply_tokens": 16,
        }
        return base | {"temperature": 0.0, "styles": ["question"]} | settings

    return of


def texts(count=10):
    rng = np.random.default_rng(1)
    return [
        Passage(f"p{at}", " ".join(rng.choice(WORDS, int(rng.integers(5, 12))).tolist()))
        for at in range(count)
    ]


def last(text):
    return " ".join(text.split()[-COPIED:])


def test_a_local_model_writes_for_every_passage_and_is_asked_once(config, tmp_path, monkeypatch):
    passages = texts()
    chosen = GenerateConfig(**config())
    generator = generator_of(chosen, "reverse", (), tmp_path / "replies.sqlite")
    found = generator.generate([GenerationRequest(passage) for passage in passages])
    assert [one.texts for one in found] == [(last(passage.text),) for passage in passages]
    monkeypatch.setattr(LocalModel, "_replies", None)  # it would fail if it were asked again
    again = generator_of(chosen, "reverse", (), tmp_path / "replies.sqlite")
    assert (
        again.generate([GenerationRequest(passage) for passage in reversed(passages)])
        == found[::-1]
    )


def test_caps_hold_for_local_models_and_a_missing_one_is_named(config, tmp_path):
    chosen = GenerateConfig(**config(max_calls=3))
    found = generator_of(chosen, "reverse", (), tmp_path / "r").generate(
        [GenerationRequest(passage) for passage in texts()]
    )
    assert sum(bool(one.texts) for one in found) == 3
    assert {one.failure for one in found if not one.texts} == {
        "not asked: generate.max_calls 3 is reached"
    }
    with pytest.raises(ConfigError, match=r"generator local:nowhere cannot be loaded"):
        generator_of(
            GenerateConfig(generator="local:nowhere"), "reverse", (), tmp_path / "s"
        ).generate([GenerationRequest(texts()[0])])


@pytest.fixture
def corpus(tiny_data):
    """The tiny collection without its training queries; the real test queries stay."""
    whole = read(tiny_data)[0]
    rows = list(whole.qrels["train"].items())[:60]
    asked = {query: whole.queries[query] for query, _ in rows}
    return Collection("corpus", whole.passages, asked, {"test": dict(rows)})


def tuned(corpus, tiny_model, folder, generate):
    recipe = RECIPE | {"generate": generate | {"passages": 100, "round_trip": 20}, "max_length": 32}
    recipe["train"] = RECIPE["train"] | {"epochs": 1}
    return build(open_run(corpus, str(tiny_model), folder, overrides=recipe, yes=True, force=True))


@pytest.mark.parametrize("served", [False, True], ids=["in process", "by its own server"])
def test_from_passages_alone_to_a_tuned_model(served, model, config, corpus, tiny_model, tmp_path):
    lm = LocalModel(str(model / "model"), GenerateConfig(reply_tokens=16, temperature=0))
    chat = Chat(lambda messages: json.dumps({"queries": [answered(lm, shown(messages))]}))
    with serving(chat) as url:
        generate = {"generator": f"vllm:tiny@{url}", "styles": ["question"]} if served else config()
        run = tuned(corpus, tiny_model, tmp_path / "run", generate)
    rows = read_jsonl(run.path / "queries" / "queries.jsonl")
    assert len(rows) > 50
    spent = read_json(run.path / "queries" / "summary.json")["spent_so_far"]
    assert spent["calls"] == 100
    assert min(spent["tokens_in"], spent["tokens_out"]) > 0
    assert all(row["text"] == last(run.collection.passages[row["passage_id"]].text) for row in rows)
    assert run.collection.synthetic == {"train"}
    assert run.result["synthetic"] is False  # the test queries are real
    positives = read_json(run.path / "generate" / "summary.json")
    assert positives["generated"] > 0
    assert run.model.encode(["x"]).shape == (1, 32)
    assert sum(chat.paid.values()) == chat.calls == (len(chat.paid) if served else 0)
    done = tuned(
        corpus, tiny_model, tmp_path / "run", generate
    )  # the server is gone, and nobody misses it
    assert done.collection.queries == run.collection.queries


def answered(lm, passage):
    found = []
    lm.answer(
        [Request("k", [{"role": "user", "content": f"{passage} ?"}])],
        Spending(lm.config),
        lambda request, reply: found.append(reply.text),
    )
    return found[0]


def test_few_pairs_get_other_wordings_for_training_alone(config, tiny_data, tiny_model, tmp_path):
    whole = read(tiny_data)[0]
    recipe = RECIPE | {"generate": config(paraphrases=2, round_trip=50), "max_length": 32}
    run = open_run(whole, str(tiny_model), tmp_path / "run", overrides=recipe)
    plain = open_run(whole, str(tiny_model), tmp_path / "plain", overrides=RECIPE)
    old, new = plain.collection.qrels, run.collection.qrels
    assert (new["dev"], new["test"]) == (old["dev"], old["test"])
    added = set(new["train"]) - set(old["train"])
    assert len(added) > 20
    for query in added:
        parent = query.split("~")[0]
        assert new["train"][query] == old["train"][parent]
        (passage,) = old["train"][parent]
        assert run.collection.queries[query] == last(run.collection.passages[passage].text)
    assert {is_paraphrase(query, run.collection) for query in added} == {True}
    asked = list(run.collection.positives("train"))
    assert {asked[row] for row, _, _ in find_candidates(run)} <= set(old["train"]), (
        "audits ask about what was asked"
    )
    with pytest.raises(ConfigError, match="need a language model"):
        open_run(
            whole, str(tiny_model), tmp_path / "none", overrides={"generate": {"paraphrases": 2}}
        )


def test_a_sequence_to_sequence_model_writes_too(tmp_path, model):
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model / "model")
    shape = {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 16,
        "num_layers": 1,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    }
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, **shape)
    )
    t5.save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    chosen = GenerateConfig(generator=f"local:{tmp_path / 't5'}", reply_tokens=16)
    found = generator_of(chosen, "queries", (), tmp_path / "r").generate(
        [GenerationRequest(passage) for passage in texts(3)]
    )
    assert len(found) == 3
    assert all(bool(one.texts) != bool(one.failure) for one in found)
