"""The folder of a round: its state shows by the file that was written last; nothing is lost."""

import numpy as np
import pytest
from round_records import JOB, MINED

from whet.errors import ArtifactError
from whet.records import MinedQuery, Negative, PositiveQuery
from whet.train.refresh.round_folder import RoundFolder, RoundState, round_folder, round_folders
from whet.train.refresh.round_log import JobLog, MinedLog

QUERIES = [
    MinedQuery("q1", (Negative("a", 1, 0.5, "ance"), Negative("b", 2, 0.25, "ance"))),
    MinedQuery("q2", ()),
]
RANKS = np.array([[3, 1], [-1, -1]])
STARS = [PositiveQuery("a", "x", "gold"), PositiveQuery("a", "y", "given")]


@pytest.fixture
def folder(tmp_path):
    folder = round_folder(tmp_path, 1)
    folder.vectors.mkdir(parents=True)
    return folder


def install(folder):
    log = folder.read_mined_log().installed(
        used_from=14, new_queries=2, overlap=0.5, more_seconds=0.0
    )
    return folder.install(QUERIES, STARS, log, 1)


def test_the_state_follows_what_was_written(folder):
    states = [folder.state()]
    folder.request(JobLog.from_json(JOB))
    states.append(folder.state())
    folder.write_mined(QUERIES, RANKS, MinedLog.from_json(MINED))
    states.append(folder.state())
    install(folder)
    states.append(folder.state())
    folder.withdraw()
    states.append(folder.state())
    assert states == [
        RoundState.EMPTY,
        RoundState.REQUESTED,
        RoundState.MINED,
        RoundState.INSTALLED,
        RoundState.MINED,
    ]
    assert folder.read_job_log() == JobLog.from_json(JOB)
    folder.delete()
    assert not folder.path.exists()
    assert folder.state() is RoundState.EMPTY


@pytest.mark.parametrize("state", ["requested", "mined", "installed"])
def test_what_was_to_be_mined_is_known_in_every_state(folder, state):
    if state == "requested":
        folder.request(JobLog.from_json(JOB))
    else:
        folder.write_mined(QUERIES, RANKS, MinedLog.from_json(MINED))
    if state == "installed":
        install(folder)
    assert folder.read_job_log().mined_at == 12


def test_an_installed_round_is_read_back_as_it_was_installed(folder):
    folder.write_mined(QUERIES, RANKS, MinedLog.from_json(MINED))
    assert not folder.vectors.exists()
    assert folder.read_mined() == QUERIES
    installed, again = install(folder), folder.read_round(1)
    for found in (installed, again):
        assert found.log == folder.read_log()
        assert found.negatives == {"q1": ("a",), "q2": ()}
        assert found.positive_queries == {"a": ["x", "y"]}
        assert np.array_equal(found.ranks, RANKS)
    files = {path.name for path in folder.path.iterdir()}
    assert files == {"negatives.jsonl", "ranks.npy", "mined.json", "queries.jsonl", "summary.json"}


def test_a_damaged_file_is_named(folder):
    (folder.path / "summary.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"summary\.json"):
        folder.read_log()


def test_rounds_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"round-{number}").mkdir()
    assert round_folders(tmp_path) == [RoundFolder(tmp_path / f"round-{n}") for n in (1, 2, 10)]
