"""Mining in a second process: what it mines, when that is used, that the record replays, and how it ends."""

import os
import signal
import subprocess
from dataclasses import replace

import pytest
import torch

from whet.errors import ConfigError, TrainingError
from whet.mine.mined import read_mined, write_mined
from whet.train.config import TrainConfig
from whet.train.refresh import callback as rounds

CONFIG = TrainConfig(
    train_only="all", learning_rate=0.02, epochs=2, batch_size=32, evaluations=4, negatives=2
)


def same(left, right):
    found = right.state_dict()
    return all(torch.equal(value, found[name]) for name, value in left.state_dict().items())


def numbers(logs):
    return [{name: value for name, value in log.items() if name != "seconds"} for log in logs]


@pytest.fixture(autouse=True)
def _one_thread():
    """The arithmetic of a training that keeps a thread for the second process, and of one that does not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def patient(monkeypatch):
    """Wait for the second process when it is asked for the third time, so that it is done at the same step always."""

    class Patient(subprocess.Popen):
        asked = 0

        def poll(self):
            self.asked += 1
            return self.wait(timeout=120) if self.asked > 2 else None

    monkeypatch.setattr(rounds.subprocess, "Popen", Patient)


LONG = CONFIG.model_copy(update={"epochs": 3, "evaluations": 6})


def replayed(start, record, folder, config=LONG):
    return start(folder, config, replay=str(record / "refresh"))


def test_a_second_process_mines_what_this_one_would_and_the_step_is_recorded(
    start, patient, collection, tmp_path
):
    model, (log,) = start(tmp_path / "first", LONG, times=1, background=True, cost="full")
    assert log["mined_at"] == 6
    assert log["used_from"] == 9
    folder = tmp_path / "first" / "refresh" / "round-1"
    assert not {"model", "job.pickle", "vectors"} & {path.name for path in folder.iterdir()}
    again, (found,) = replayed(start, tmp_path / "first", tmp_path / "again")
    assert same(model, again)
    assert numbers([found]) == numbers([log])
    other, _ = start(tmp_path / "sync", LONG, times=1, cost="full")
    assert not same(model, other)
    lines = (folder / "negatives.jsonl").read_text()
    assert lines == (tmp_path / "sync" / "refresh" / "round-1" / "negatives.jsonl").read_text()


@pytest.mark.parametrize(
    "step", [7, 9, *(pytest.param(step, marks=pytest.mark.slow) for step in (6, 8, 10, 11))]
)
def test_a_training_with_a_second_process_broken_off_agrees_with_its_record(
    start, broken_off, patient, tmp_path, step
):
    threads = torch.get_num_threads()
    broken_off(tmp_path / "first", step, config=LONG, times=1, background=True)
    model, logs = start(tmp_path / "first", LONG, times=1, background=True)
    again, found = replayed(start, tmp_path / "first", tmp_path / "again")
    assert [log["mined_at"] for log in logs] == [6]
    assert same(model, again)
    assert numbers(found) == numbers(logs)
    assert torch.get_num_threads() == threads


def test_a_second_process_that_comes_too_late_is_stopped(start, tmp_path, capsys):
    _, logs = start(tmp_path, times=1, background=True)
    assert logs == []
    assert "the last refresh came too late to be used" in capsys.readouterr().err
    assert not list((tmp_path / "refresh").iterdir())


def test_a_second_process_that_fails_is_told_of(start, patient, monkeypatch, tmp_path):
    monkeypatch.setattr(rounds, "JOB", "elsewhere.pickle")
    with pytest.raises(
        TrainingError,
        match=r"second process failed \(1\): FileNotFoundError.*job\.pickle.*log\.txt",
    ):
        start(tmp_path, LONG, times=1, background=True)


def test_a_replay_of_nothing_or_of_other_data_is_refused(start, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no rounds"):
        start(tmp_path / "a", replay=str(tmp_path / "empty"))
    start(tmp_path / "b", times=1)
    path = tmp_path / "b" / "refresh" / "round-1" / "negatives.jsonl"
    mined = read_mined(path)
    for other in (
        [replace(one, query_id=f"x{one.query_id}") for one in mined],
        [
            replace(
                one,
                negatives=tuple(replace(n, passage_id=f"x{n.passage_id}") for n in one.negatives),
            )
            for one in mined
        ],
    ):
        write_mined(path, other)
        with pytest.raises(ConfigError, match="holds rounds of other data"):
            start(tmp_path / "c", replay=str(tmp_path / "b" / "refresh"))


def test_a_second_process_that_was_killed_is_done_without(start, monkeypatch, tmp_path, capsys):
    class Killed(subprocess.Popen):
        def poll(self):
            os.kill(self.pid, signal.SIGKILL)
            return self.wait()

    monkeypatch.setattr(rounds.subprocess, "Popen", Killed)
    _, logs = start(tmp_path, times=1, background=True)
    assert logs == []
    assert (
        "the second process was killed by signal 9: negatives stay as they are"
        in capsys.readouterr().err
    )
