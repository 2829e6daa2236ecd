"""Killed anywhere, the same command finishes with what an unbroken run gives: the same weights, the same numbers."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from whet.run import STAGES

KILLED = Path(__file__).with_name("killed.py")
RECIPE = """
train: {train_only: all, learning_rate: 5.0e-3, epochs: 4, batch_size: 16, negatives: 2, evaluations: 4}
"""
# What dies, at which call: at least one place in every stage.
PLACES = {
    "check": ("whet.pipeline:check", 1),
    "mine, vectors": ("whet.encode:np.save", 2),
    "mine": ("whet.mine.mined:write_mined", 1),
    "generate": ("whet.generate.positives:~write_positive_queries", 1),
    "train, before a checkpoint": ("torch.optim:AdamW.step", 3),
    "train, between checkpoints": ("torch.optim:AdamW.step", 10),
    "train, within a checkpoint": ("transformers.trainer:Trainer._save_optimizer_and_scheduler", 2),
    "train, a checkpoint but for its state": ("transformers.trainer_callback:TrainerState.save_to_json", 3),
    "train, after the last step": ("transformers.trainer:Trainer._load_best_model", 1),
    "train, result": ("sentence_transformers:SentenceTransformer.~save_pretrained", 5),
    "evaluate": ("whet.evaluate.runs:write_trec", 2),
    "report": ("whet.report.markdown:~write_markdown", 1),
    "model": ("whet.export.folder:export_model", 1),
    "model, between its files": ("pathlib:Path.rename", 7),
}
CHAIN = ("mine", "train, between checkpoints", "train, within a checkpoint", "evaluate", "model")


def command(data, model, out):
    recipe = Path(out).with_suffix(".yaml")
    recipe.write_text(RECIPE)
    return ["tune", str(data), "--model", str(model), "--out", str(out), "--recipe", str(recipe), "--json", "--quiet"]


def start(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def killed(place, arguments):
    target, count = PLACES[place]
    ended = start(str(KILLED), target, str(count), *arguments)
    assert ended.returncode == -signal.SIGKILL, (place, ended.stderr)


def finished(arguments):
    ended = start("-m", "whet", *arguments)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def outcome(out, result):
    """What a run's result is made of: the weights' bytes and all numbers but times."""
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    trained = json.loads((out / "train" / "result.json").read_text())
    unlike = {"seconds", "peak_memory_mb", "model"}
    return weights, {k: v for k, v in result.items() if k not in unlike}, trained


@pytest.fixture(scope="session")
def unbroken(tiny_data, tiny_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    return outcome(out, finished(command(tiny_data, tiny_model, out)))


def test_one_run_killed_again_and_again_ends_like_an_unbroken_one(tiny_data, tiny_model, tmp_path, unbroken):
    out = tmp_path / "run"
    arguments = command(tiny_data, tiny_model, out)
    for place in CHAIN:
        killed(place, arguments)
        stage = place.split(",")[0]
        assert (out / f"{stage}.partial").is_dir()
        assert not [later for later in STAGES[STAGES.index(stage) :] if (out / later).exists()]
    assert outcome(out, finished(arguments)) == unbroken
    assert not list(out.glob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_killed_at_any_place_the_same_command_finishes_alike(place, tiny_data, tiny_model, tmp_path, unbroken):
    out = tmp_path / "run"
    arguments = command(tiny_data, tiny_model, out)
    killed(place, arguments)
    assert (out / f"{place.split(',')[0]}.partial").is_dir()
    assert outcome(out, finished(arguments)) == unbroken
    assert not list(out.glob("*.partial"))
