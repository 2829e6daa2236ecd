"""Mining in a second process: when its negatives are used, that a kill changes nothing, its end."""

import logging
import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from trainings import broken_off, changed, same

from whet.errors import TrainingError
from whet.models import load_model
from whet.train.moe_config import MoEConfig
from whet.train.refresh import miner
from whet.train.refresh.miner import InProcessMiner, SubprocessMiner
from whet.train.refresh.mining_job import read_job
from whet.train.refresh.round_folder import RoundFolder, round_folder

BACKGROUND = {"times": 1, "background": True}  # its only boundary is step 4 of 8


@pytest.fixture
def done_at(monkeypatch):
    """Do a second process's work in this one, when it is looked at for a given time."""

    def set_looks(count):
        class Inside:
            looks = 0

            def __init__(self, command, **_):
                self.folder = RoundFolder(Path(command[3]))

            def poll(self):
                self.looks += 1
                if self.looks < count:
                    return None
                read_job(self.folder).mine(load_model(str(self.folder.model)), self.folder)
                return 0

            def kill(self):
                pass

            wait = kill

        monkeypatch.setattr(miner.subprocess, "Popen", Inside)

    return set_looks


def test_a_second_process_mines_what_this_one_would_and_the_step_is_recorded(
    start, done_at, tmp_path
):
    done_at(3)
    model, (log,) = start(tmp_path / "beside", **BACKGROUND, cost="full")
    assert (log["mined_at"], log["used_from"]) == (4, 6)
    rounds = Path("refresh") / "round-1"
    left = {path.name for path in (tmp_path / "beside" / rounds).iterdir()}
    assert not left & {"scratch", "vectors"}
    here, _ = start(tmp_path / "here", times=1, cost="full")
    assert not same(model, here)
    name = rounds / "negatives.jsonl"
    assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


@pytest.mark.parametrize(
    ("step", "looks", "used_from"),
    [
        (5, 3, 7),  # the process is started again
        (6, 2, 5),  # mined and installed after the checkpoint: installed again
        # Installed before the checkpoint: used again.
        pytest.param(7, 3, 6, marks=pytest.mark.slow),
    ],
)
def test_a_training_broken_off_ends_as_one_with_the_step_that_is_recorded(
    start, done_at, tmp_path, step, looks, used_from
):
    done_at(looks)
    threads = torch.get_num_threads()
    with broken_off(step):
        start(tmp_path / "broken", **BACKGROUND)
    model, logs = start(tmp_path / "broken", **BACKGROUND)
    assert [(log["mined_at"], log["used_from"]) for log in logs] == [(4, used_from)]
    done_at(used_from - 4 + 1)
    whole, expected = start(tmp_path / "whole", **BACKGROUND)
    assert same(model, whole)
    assert logs == expected
    assert torch.get_num_threads() == threads


def test_a_refresh_that_comes_too_late_is_deleted(start, done_at, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    done_at(99)
    _, logs = start(tmp_path, times=2, background=True)
    assert logs == []
    assert "step 6: the last refresh still goes on, so there is none at this step" in caplog.text
    assert "the last refresh came too late to be used" in caplog.text
    assert not list((tmp_path / "refresh").iterdir())


def test_a_second_process_that_was_killed_is_given_up(start, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO)

    class Killed(subprocess.Popen):
        def poll(self):
            os.kill(self.pid, signal.SIGKILL)
            return self.wait()

    monkeypatch.setattr(miner.subprocess, "Popen", Killed)
    _, logs = start(tmp_path, **BACKGROUND)
    assert logs == []
    assert "the second process was killed by signal 9: negatives stay as they are" in caplog.text


def test_a_second_process_that_fails_ends_the_training(tmp_path, monkeypatch):
    """Its own last message says why; here it finds no job."""
    monkeypatch.setattr(miner.sys, "executable", "/bin/sh")  # which takes -m for an option
    folder = round_folder(tmp_path, 1)
    folder.path.mkdir(parents=True)
    (folder.path / "job.json").write_text("{}")
    second = SubprocessMiner()
    second.resume(folder)
    second.process.wait(timeout=60)
    with pytest.raises(
        TrainingError, match=r"second process failed \(\d+\): .*All messages: .*log\.txt"
    ):
        second.poll()
    assert second.mining == folder
    second.close()


def test_training_leaves_a_thread_to_a_second_process():
    torch.set_num_threads(4)
    second = SubprocessMiner()
    second.open()
    assert torch.get_num_threads() == 3
    second.close()
    assert torch.get_num_threads() == 4


class CountingJob:
    mined = 0

    def mine(self, model, folder):
        self.mined += 1
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / "mined.json").write_text("{}")


def test_in_process_a_round_is_mined_once_and_given_once(tmp_path):
    here, job, folder = InProcessMiner(), CountingJob(), round_folder(tmp_path, 1)
    assert here.poll() is None
    for _ in range(2):  # the second time it is there, of a killed training
        here.launch(folder, job, None)
        assert here.poll() == folder
        assert here.poll() is None
    assert job.mined == 1


@pytest.mark.slow
@pytest.mark.parametrize("moe", [None, MoEConfig(experts=2)])
def test_a_real_process_mines_the_same(
    tiny_model, training_data, dev, plan, monkeypatch, tmp_path, moe
):
    """With experts too, whose models are loaded by whet's own classes."""
    from sentence_transformers import SentenceTransformer
    from trainings import train

    class Patient(subprocess.Popen):
        looks = 0

        def poll(self):
            self.looks += 1
            return self.wait(timeout=300) if self.looks > 2 else None

    monkeypatch.setattr(miner.subprocess, "Popen", Patient)
    config = changed(train_only="moe" if moe else "all")
    lines = []
    for name, settings in (("beside", BACKGROUND), ("here", {"times": 1})):
        folder = tmp_path / name
        model = SentenceTransformer(str(tiny_model))
        refresh = plan(folder, cost="full", **settings)
        train(model, training_data, dev, folder, config, moe, plan=refresh)
        lines.append((folder / "refresh" / "round-1" / "negatives.jsonl").read_text())
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_a_process_without_a_job_says_so(tmp_path):
    folder = round_folder(tmp_path, 1)
    folder.path.mkdir(parents=True)
    (folder.path / "job.json").write_text("{}")
    second = SubprocessMiner()
    second.resume(folder)
    second.process.wait(timeout=300)
    with pytest.raises(TrainingError, match=r"failed \(1\): FileNotFoundError.*job\.pickle"):
        second.poll()
    second.close()
