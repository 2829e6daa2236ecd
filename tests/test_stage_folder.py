"""Stage folders: built once, built again when their inputs change, never seen half written."""

import errno
import json
import os
import subprocess
import sys

import pytest

from whet.errors import ArtifactError, ConfigError
from whet.files import (
    MANIFEST,
    SCRATCH,
    digest,
    folder_digest,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from whet.stage_folder import LOCK, locked, run_stage


class Stage:
    """A stage that counts how often it is built, and can be made to die on the way."""

    def __init__(self, run):
        self.run = run
        self.built = 0
        self.found = []

    def __call__(self, inputs=None, config=None, text="made", dies=False):
        def build(folder):
            self.built += 1
            self.found = sorted(
                p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
            )
            write_text(folder / "part.txt", text)
            write_text(folder / SCRATCH / "cache.txt", "kept while it is built")
            if dies:
                raise KeyboardInterrupt
            write_text(folder / "deep" / "rest.txt", text)

        return run_stage(
            self.run,
            "mine",
            inputs=inputs or {"data": "1"},
            config=config or {"k": 1, "name": "x"},
            build=build,
        )


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_a_stage_is_built_once(stage, tmp_path):
    first, second = stage(), stage(config={"name": "x", "k": 1})
    assert stage.built == 1
    assert (first.skipped, second.skipped) == (False, True)
    assert (second.path, second.fingerprint, second.seconds) == (
        tmp_path / "mine",
        first.fingerprint,
        first.seconds,
    )
    assert first.fingerprint == folder_digest(tmp_path / "mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["deep", MANIFEST, "part.txt"]


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"data": "2"}},
        {"inputs": {"data": "1", "model": "1"}},
        {"inputs": {"other": "1"}},
        {"config": {"k": 2, "name": "x"}},
        {"config": {"k": 1}},
    ],
)
def test_another_input_or_setting_builds_it_again(stage, tmp_path, change):
    stage()
    assert not stage(**change, text="new").skipped
    assert stage.built == 2
    assert (tmp_path / "mine" / "part.txt").read_text() == "new"
    assert stage.found == [MANIFEST], "nothing of the old folder is left"


@pytest.mark.parametrize("name", ["part.txt", "deep/rest.txt"])
@pytest.mark.parametrize("change", ["edit", "delete", "add"])
def test_a_file_changed_afterwards_builds_it_again(stage, tmp_path, name, change, caplog):
    stage()
    path = tmp_path / "mine" / name
    if change == "edit":
        path.write_text("edited")
    elif change == "delete":
        path.unlink()
    else:
        path.with_name("new.txt").write_text("")
    assert not stage().skipped
    assert path.read_text() == "made"
    assert "its files were changed by hand" in caplog.text


def test_a_format_of_another_time_builds_it_again(stage, monkeypatch):
    stage()
    monkeypatch.setattr("whet.stage_folder.FORMAT", 2)
    assert not stage().skipped


def test_a_killed_build_goes_on_in_its_folder_while_nothing_changed(stage, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        stage(dies=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.partial"]
    assert not stage().skipped
    assert stage.found == [MANIFEST, "part.txt", f"{SCRATCH}/cache.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


def test_a_killed_build_of_something_else_is_thrown_away(stage):
    with pytest.raises(KeyboardInterrupt):
        stage(dies=True)
    stage(inputs={"data": "2"})
    assert stage.found == [MANIFEST]


@pytest.mark.parametrize("left", ["", '{"key": '])
def test_a_damaged_manifest_of_a_killed_build_throws_it_away(stage, tmp_path, left):
    with pytest.raises(KeyboardInterrupt):
        stage(dies=True)
    (tmp_path / "mine.partial" / MANIFEST).write_text(left)
    stage()
    assert stage.found == [MANIFEST]


def test_a_damaged_manifest_builds_it_again(stage, tmp_path):
    stage()
    (tmp_path / "mine" / MANIFEST).write_text('{"key": ')
    assert not stage().skipped
    assert stage().skipped


def test_the_old_folder_stands_until_the_new_one_is_whole(stage, tmp_path):
    stage()
    with pytest.raises(KeyboardInterrupt):
        stage(inputs={"data": "2"}, text="new", dies=True)
    assert (tmp_path / "mine" / "part.txt").read_text() == "made"
    assert stage().skipped


def test_the_manifest_says_where_the_folder_comes_from(stage, tmp_path):
    made = stage()
    manifest = read_json(tmp_path / "mine" / MANIFEST)
    assert manifest["stage"] == "mine"
    assert (manifest["inputs"], manifest["config"]) == ({"data": "1"}, {"k": 1, "name": "x"})
    assert (manifest["fingerprint"], manifest["seconds"]) == (made.fingerprint, made.seconds)
    assert {"torch", "transformers", "sentence-transformers"} <= set(manifest["versions"])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})

    def full(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}


def test_rows_survive_every_line_separator(tmp_path):
    rows = [{"text": f"a{separator}b"} for separator in "\n\r\u2028\u2029\x85\x0b\x0c\x1c"] + [
        {"text": "東京 👍"}
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


@pytest.mark.parametrize(
    ("read", "text"),
    [(read_json, None), (read_json, "{"), (read_jsonl, "{}\n{"), (read_jsonl, None)],
)
def test_what_cannot_be_read_is_named(tmp_path, read, text):
    path = tmp_path / "rows"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        ArtifactError, match=r"rows: cannot be read \(.*Delete its folder and run the stage again"
    ):
        read(path)


def test_a_digest_tells_parts_apart_and_forgets_key_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert (
        len(
            {
                digest(*parts)
                for parts in (("ab", "c"), ("a", "bc"), ("abc",), (["ab", "c"],), ("c", "ab"))
            }
        )
        == 5
    )


HOLD = """
import sys
from pathlib import Path
from whet.stage_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["finishes", "is killed"])
def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path, end):
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(ConfigError) as error, locked(run):
            pytest.fail("two processes in one run's folder")
        if end == "is killed":
            first.kill()
        else:
            first.stdin.close()
        first.wait()
    assert str(error.value) == (
        f"{run}: another process of whet ({first.pid}) is building in this folder, "
        "and only one can. Wait for its end, "
        f"or stop it (kill {first.pid}), and run the same command again; or give another --out."
    )
    with locked(run):
        assert (run / LOCK).read_text() == str(os.getpid())


def test_one_process_may_build_again_and_again_also_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    for _ in range(2):
        with locked(tmp_path):
            pass


def test_a_drive_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path), locked(tmp_path):
        pass


def test_only_scratch_inside_a_folder_does_not_count(tmp_path):
    folder = tmp_path / SCRATCH / "me" / "mine"  # where clusters keep users' files
    (folder / SCRATCH).mkdir(parents=True)
    (folder / "found.txt").write_text("one")
    before = folder_digest(folder)
    (folder / SCRATCH / "left.txt").write_text("x")
    assert folder_digest(folder) == before
    (folder / "found.txt").write_text("two")
    assert folder_digest(folder) != before
