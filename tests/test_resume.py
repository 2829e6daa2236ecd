"""Killed anywhere, the same command ends like an unbroken run: same weights, same numbers."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny import RECIPE, tiny_collection
from whet.run.results import STAGE_NAMES as STAGES

KILLED = Path(__file__).with_name("killed.py")
PLACES = {  # stage, and where in it: what kills, at which call of that stage
    "check": ("whet.stages.check:check", 1),
    "mine, its vectors": ("whet.encoder.stored:np.save", 2),
    "mine, its files": ("whet.stages.mine:~write_mined", 1),
    "generate": ("whet.stages.generate:~write_positive_queries", 1),
    "train, before a checkpoint": ("torch.optim:AdamW.step", 3),
    "train, between checkpoints": ("torch.optim:AdamW.step", 10),
    "train, within a checkpoint": ("transformers.trainer:Trainer._save_optimizer_and_scheduler", 2),
    "train, a checkpoint but for its state": (
        "transformers.trainer_callback:TrainerState.save_to_json",
        1,
    ),
    "train, the last checkpoint": ("transformers.trainer:Trainer.~_save_checkpoint", 4),
    "train, its result": ("whet.stages.train.choose_model:write_jsonl", 1),
    "train, its folder": ("whet.stage_folder:folder_digest", 1),
    "evaluate": ("whet.stages.evaluate:write_trec", 2),
    "report": ("whet.stages.report:~write_markdown", 1),
    "model": ("whet.stages.model:~export_model", 1),
    "model, between its files": ("pathlib:Path.replace", 7),
    "model, its folder": ("whet.stage_folder:folder_digest", 1),
}
FOLDED = {
    "train, on what was written": ("torch.optim:AdamW.step", 2),
    "train, what it starts from": ("whet.stages.train.attempt:~save_file", 1),
    "train, in a fold": ("torch.optim:AdamW.step", 8),
    "train, between two folds": ("whet.stages.train.cross_validated:~write_json", 2),
    "train, in the last training": ("torch.optim:AdamW.step", 30),
    "train, its result": ("whet.stages.train.choose_model:write_jsonl", 1),
}
REFRESHED = {
    "train, before a boundary": ("torch.optim:AdamW.step", 5),
    "train, a boundary's checkpoint": ("transformers.trainer:Trainer.~_save_checkpoint", 1),
    "train, mining anew": ("whet.train.refresh.mining_job:remine", 1),
    "train, its vectors": ("whet.encoder.stored:np.save", 1),
    "train, its negatives": ("whet.train.refresh.round_folder:~write_mined", 1),
    "train, its h*": ("whet.train.refresh.round_folder:write_positive_queries", 1),
    "train, its numbers": ("whet.train.refresh.round_folder:~write_json", 1),
    "train, with new negatives": ("torch.optim:AdamW.step", 7),
    "train, the second boundary": ("whet.train.refresh.mining_job:remine", 1),
    "train, after it": ("torch.optim:AdamW.step", 6),
}
QUICK = ["mine, its files", "train, between checkpoints", "evaluate"]
CHAIN = [*list(PLACES)[1:8], "evaluate", *list(PLACES)[-2:]]


def jobs_of(places, data, model, out, parts=RECIPE):
    """The command, killed at each place in turn, and then left alone; as `killed.py` reads it."""
    recipe = Path(f"{out}.yaml")
    recipe.write_text(yaml.safe_dump(parts))
    options = ["--model", str(model), "--out", str(out), "--recipe", str(recipe), "--quiet"]
    arguments = ["tune", str(data), *options]
    return [
        ((PLACES | FOLDED | REFRESHED).get(place), arguments, str(out), stage_of(place))
        for place in (*places, "end")
    ]


def stage_of(place):
    return place.split(",")[0]


def results(jobs):
    """Run the jobs; return how all but the first ended."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    ended = subprocess.run(
        [sys.executable, KILLED],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def check_each(places, ended):
    """Every process but the last was killed in the stage that it was to be killed in."""
    *killed, last = ended
    for place, found in zip(places, killed, strict=True):
        stage = stage_of(place)
        assert found["code"] == -signal.SIGKILL, place
        assert f"{stage}.partial" in found["folder"], place
        assert not set(STAGES[STAGES.index(stage) :]) & set(found["folder"]), place
    assert last["code"] == 0
    assert not [name for name in last["folder"] if name.endswith(".partial")]


def outcome(out):
    """What a run's result is made of: the weights' bytes, all numbers, and what was kept."""
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    files = ("train/result.json", "evaluate/evaluation.json", "evaluate/result.json")
    found = [json.loads((out / name).read_text()) for name in files]
    assert found[0]["kept"] == "tuned", "a run that keeps the base model proves nothing here"
    return weights, found


@pytest.mark.parametrize("places", [QUICK, pytest.param(CHAIN, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_ends_like_an_unbroken_one(
    tiny_data, tiny_model, tmp_path, places
):
    whole, out = tmp_path / "whole", tmp_path / "run"
    jobs = [
        *jobs_of([], tiny_data, tiny_model, whole),
        *jobs_of(places, tiny_data, tiny_model, out),
    ]
    check_each(places, results(jobs))
    assert outcome(out) == outcome(whole)


@pytest.mark.slow
def test_a_cross_validated_run_killed_again_and_again_ends_like_an_unbroken_one(
    tiny_model, tmp_path
):
    data = tiny_collection(tmp_path / "small", size=130, unasked=40)
    whole, out = tmp_path / "whole", tmp_path / "run"
    guard = {"data": "none", "interpolate": True, "shares": [0.5, 1.0]}
    parts = RECIPE | {"guard": guard, "generate": {"passages": 40, "round_trip": 10}}
    jobs = [
        *jobs_of([], data, tiny_model, whole, parts),
        *jobs_of(FOLDED, data, tiny_model, out, parts),
    ]
    check_each(FOLDED, results(jobs))
    assert outcome(out) == outcome(whole)


@pytest.mark.slow
@pytest.mark.parametrize("cost", ["full", "pool"])
def test_a_run_with_re_mining_killed_again_and_again_ends_like_an_unbroken_one(
    tiny_data, tiny_model, tmp_path, cost
):
    whole, out = tmp_path / "whole", tmp_path / "run"
    parts = RECIPE | {"refresh": {"times": 2, "cost": cost}}
    jobs = [
        *jobs_of([], tiny_data, tiny_model, whole, parts),
        *jobs_of(REFRESHED, tiny_data, tiny_model, out, parts),
    ]
    check_each(REFRESHED, results(jobs))
    assert outcome(out) == outcome(whole)
    assert len(list((out / "train" / "refresh").glob("round-*"))) == 2


@pytest.mark.slow
def test_a_run_whose_negatives_a_second_process_mines_ends_however_it_was_killed(
    tiny_data, tiny_model, tmp_path
):
    """Long enough for the second process to be in time; killed while it works, and after it."""
    out = tmp_path / "run"
    training = {"epochs": 150, "learning_rate": 1e-3, "patience": 9}
    parts = RECIPE | {
        "train": RECIPE["train"] | training,
        "refresh": {"times": 1, "background": True},
    }
    places = {}
    for count in (620, 100, 350, 40):
        places[f"train, {count} steps on"] = ("torch.optim:AdamW.step", count)
    jobs = jobs_of([], tiny_data, tiny_model, out, parts)
    killed = [(kill, *jobs[0][1:3], "train") for kill in places.values()]
    ended = results([(None, ["--version"], str(tmp_path), "train"), *killed, *jobs])
    check_each(list(places), ended)
    summary = json.loads((out / "train" / "refresh" / "round-1" / "summary.json").read_text())
    assert summary["mined_at"] < summary["used_from"]


@pytest.mark.slow
def test_a_run_killed_at_any_place_ends_like_an_unbroken_one(tiny_data, tiny_model, tmp_path):
    jobs = jobs_of([], tiny_data, tiny_model, tmp_path / "whole")
    for place in PLACES:
        jobs += jobs_of([place], tiny_data, tiny_model, tmp_path / place)
    ended = results(jobs)
    for at, place in enumerate(PLACES):
        check_each([place], ended[2 * at : 2 * at + 2])
        assert outcome(tmp_path / place) == outcome(tmp_path / "whole"), place
