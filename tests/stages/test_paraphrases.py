"""Paraphrases of training queries, by a language model behind a real server.

Proved: each has its query's answers and is for training alone; dev and test stay as they are; an
audit leaves paraphrases out; without a language model there are none.
"""

import json

import pytest
from chat_server import Chat, serving
from lamps import passage_of

from tiny import RECIPE
from whet.data.read import read
from whet.errors import ConfigError
from whet.files import read_json
from whet.generate.paraphrases import is_paraphrase
from whet.generate.spending import agree
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.audit import find_candidates


def endings(messages):
    """The last three and the last four words of the passage, as two queries."""
    words = passage_of(messages).split()
    return json.dumps({"queries": [" ".join(words[-3:]), " ".join(words[-4:])]})


def test_paraphrases_are_for_training_alone(tiny_data, tiny_model, tmp_path):
    data = read(tiny_data)[0]
    plain = open_run(data, str(tiny_model), tmp_path / "plain", overrides=RECIPE)
    chat = Chat(endings)
    with serving(chat) as url:
        generate = {"generator": f"vllm:tiny@{url}", "paraphrases": 2, "round_trip": 50}
        overrides = RECIPE | {"generate": generate, "max_length": 32}
        path = tmp_path / "run"
        run = open_run(data, str(tiny_model), path, overrides=overrides, confirm=agree)
        build(run, "paraphrases")
    before, after = plain.collection.qrels, run.collection.qrels
    assert (after["dev"], after["test"]) == (before["dev"], before["test"])
    added = set(after["train"]) - set(before["train"])
    assert len(added) > 20
    for query in added:
        original = query.split("~")[0]
        assert is_paraphrase(query, run.collection)
        assert after["train"][query] == before["train"][original]
        (passage,) = before["train"][original]
        text = run.collection.queries[query]
        assert run.collection.passages[passage].text.endswith(text)
        assert text.count(" ") in (2, 3)
    assert not any(is_paraphrase(query, run.collection) for query in before["train"])
    summary = read_json(path / "paraphrases" / "summary.json")
    assert (summary["generator"], summary["queries"]) == ("tiny", len(added))
    assert summary["spent_so_far"]["calls"] == chat.calls == len(before["train"])
    queries = list(run.collection.positives("train"))
    candidates = {queries[candidate.query_row] for candidate in find_candidates(run)}
    assert candidates <= set(before["train"])


def test_without_a_language_model_there_are_no_paraphrases(tiny_data, tiny_model, tmp_path):
    overrides = {"generate": {"paraphrases": 2}}
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=overrides)
    with pytest.raises(ConfigError, match="paraphrases need a language model"):
        build(run, "paraphrases")
    assert not run.path.exists()
