"""What must not be forgotten.

Proved: the guard's set holds every answer of its queries and its share of others, the same each time; the line between
base and tuned weights is walked as told, its best point within the budget is left in the model bit for bit, and base
where none is; on the whole road the scores are in the log and the result, and the model that comes out is that point.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tiny import RECIPE
from whet.artifacts import read_json, read_jsonl, write_json
from whet.data.read import read
from whet.errors import ConfigError
from whet.models import load_model
from whet.pipeline import build
from whet.records import Collection, Passage
from whet.report.contents import ReportInput
from whet.report.lines import tradeoff_lines
from whet.run.opening import open_run
from whet.run.results import read_share, read_tradeoff
from whet.stages.train.selection import _floor
from whet.train import forgetting as guard
from whet.train.forgetting import forgetting_set
from whet.train.forgetting_config import GuardConfig
from whet.train.interpolate import interpolate


def test_the_set_holds_answers_and_others_and_is_the_same_each_time(tiny_data):
    collection, _ = read(tiny_data)
    config = GuardConfig(data=str(tiny_data), queries=10, passages=30)
    found = forgetting_set(config)
    assert len(found.queries) == len(found.qrels) == 10
    assert len(found.passages) == 30
    for query, judged in found.qrels.items():
        assert found.queries[query] == collection.queries[query]
        assert set(judged) <= set(found.passages)
    assert found == forgetting_set(config)
    assert forgetting_set(config.model_copy(update={"seed": 1})) != found
    assert forgetting_set(GuardConfig(data="none")) is None


def test_the_documentation_of_this_python_is_a_guard():
    found = forgetting_set(GuardConfig(data="pydoc", queries=20, passages=50))
    assert len(found.queries) == 20
    assert len(found.passages) == 50


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(None, 0.75), (0.5, 0.5), (0.2, 0.75), (0.9, 0.0)],
    ids=["no guard", "tight", "wide", "none"],
)
def test_the_best_point_within_the_budget_stays(floor, expected):
    model = torch.nn.Linear(3, 2)
    tuned = {name: value.detach().clone() for name, value in model.named_parameters()}
    base = {name: torch.randn_like(value) for name, value in tuned.items()}
    dev = {0.25: 0.3, 0.5: 0.4, 0.75: 0.6, 1.0: 0.6}
    met = {}

    def score(share):
        met[share] = model.weight.detach().clone()
        return dev[share], None if floor is None else 0.8 - 0.5 * share

    share, line = interpolate(model, base, score, (1.0, 0.25, 0.75, 0.5), floor)
    assert share == expected
    assert [point.share for point in line] == [0.25, 0.5, 0.75, 1.0]
    for at, weight in met.items():
        torch.testing.assert_close(weight, (1 - at) * base["weight"] + at * tuned["weight"])
    assert torch.equal(met[1.0], tuned["weight"])
    assert torch.equal(model.weight, met[share] if share else base["weight"])


def test_a_set_without_positives_is_refused(monkeypatch):
    empty = Collection("empty", {"p": Passage("p", "x")}, {"q": "y"}, {"test": {"q": {"p": 0}}})
    monkeypatch.setattr(guard, "_collection", lambda config: empty)
    with pytest.raises(ConfigError, match="no query with a positive"):
        forgetting_set(GuardConfig(data="x"))


@pytest.mark.parametrize("moe", [0, 2])
def test_the_whole_road_goes_back_as_far_as_the_budget_says(tiny_data, tiny_model, tmp_path, moe):
    guarded = {"data": str(tiny_data), "interpolate": True, "queries": 20, "passages": 60}
    parts = {"train": RECIPE["train"], "guard": guarded} | (
        {"moe": {"experts": moe}} if moe else {}
    )
    run = build(open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=parts), "train")
    found = read_json(run.path / "train" / "result.json")
    assert [point["share"] for point in found["line"]] == [0.25, 0.5, 0.75, 1.0]
    able = [point for point in found["line"] if point["guard"] >= found["guard_base"] - 0.01]
    best = max(able, key=lambda point: (point["dev"], -point["share"]))
    assert (found["share"], found["dev_best"], found["kept"]) == (
        best["share"],
        best["dev"],
        "tuned",
    )
    logged = [row for row in read_jsonl(run.path / "train" / "log.jsonl") if "eval_nDCG@10" in row]
    assert all("eval_guard_nDCG@10" in row for row in logged)
    at_best = next(row for row in logged if row["step"] == found["best_step"])
    assert found["line"][-1]["dev"] == pytest.approx(at_best["eval_nDCG@10"])
    model = load_model(str(run.path / "train" / "model"))
    assert not np.allclose(model.encode("stone"), run.base_model.encode("stone"))


def test_force_keeps_the_tuned_weights_whatever_the_guard_says(tiny_data, tiny_model, tmp_path):
    guarded = {
        "data": str(tiny_data),
        "interpolate": True,
        "queries": 20,
        "passages": 60,
        "shares": [1.0],
    }
    parts = {"train": RECIPE["train"], "guard": guarded}
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=parts)
    assert _floor(run, 0.9) == pytest.approx(0.89)
    assert _floor(replace(run, force=True), 0.9) is None
    assert _floor(run, None) is None


@pytest.mark.parametrize(
    ("named", "asked"), [("NanoNQ", "zeta-alpha-ai/NanoNQ"), ("owner/set", "owner/set")]
)
def test_a_set_of_nano_beir_is_looked_for_where_it_lies(monkeypatch, named, asked):
    seen = []
    answer = Collection("x", {"p": Passage("p", "x")}, {"q": "y"}, {"train": {"q": {"p": 1}}})
    monkeypatch.setattr(guard, "read", lambda name: (seen.append(name), (answer, ()))[1])
    assert len(forgetting_set(GuardConfig(data=named)).queries) == 1
    assert seen == [asked]


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("kept", ["base", "tuned"])
def test_the_report_marks_what_was_kept(tmp_path, kept, line):
    points = (
        {"share": 0.5, "line": [{"share": at, "dev": at, "guard": 1 - at} for at in (0.5, 1.0)]}
        if line
        else {}
    )
    scores = {"dev_base": 0.4, "dev_best": 0.5, "guard_base": 0.8, "guard_tuned": 0.8}
    write_json(tmp_path / "train" / "result.json", {"kept": kept} | scores | points)
    told = ReportInput(
        "d", "m", None, (), {}, tradeoff=read_tradeoff(tmp_path), share=read_share(tmp_path)
    )
    marked = [share for share, *_, mark in tradeoff_lines(told) if mark == "kept"]
    assert marked == [{"base": "0%", "tuned": "50%" if line else "100%"}[kept]]
