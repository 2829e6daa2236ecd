"""The command line as a whole: help, version, and how errors end."""

import errno
import os
from contextlib import nullcontext

import pytest

from whet import __version__

VERBS = ["demo", "tune", "check", "mine", "teach", "train", "evaluate", "audit", "generate"]
VERBS += ["report", "export", "compare", "recipe", "clean"]


def test_the_help_lists_every_verb(whet):
    shown = whet("--help")
    assert shown.returncode == 0
    for verb in VERBS:
        assert f"│ {verb} " in shown.stdout


def test_the_version_is_printed(whet):
    shown = whet("--version")
    assert (shown.returncode, shown.stdout) == (0, f"whet {__version__}\n")


def test_an_unknown_verb_ends_with_2(whet):
    ended = whet("sharpen")
    assert ended.returncode == 2
    assert "No such command 'sharpen'" in ended.stderr


@pytest.mark.parametrize(
    ("number", "is_of_the_place"),
    [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EBADF, False)],
)
def test_a_full_disk_ends_with_a_message_and_a_mistake_in_the_code_with_a_traceback(
    whet, tiny_data, tiny_model, tmp_path, monkeypatch, number, is_of_the_place
):
    def refuse(*_):
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr("whet.files.write_text", refuse)
    with nullcontext() if is_of_the_place else pytest.raises(OSError, match="somewhere"):
        ended = whet("check", tiny_data, "--model", tiny_model, "--out", tmp_path / "run")
        assert ended.returncode == 1
        assert f"{os.strerror(number)}: 'somewhere'" in ended.stderr


def test_ctrl_c_says_how_to_continue(whet, tiny_data, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("whet.run.opening.open_run", interrupt)
    ended = whet("tune", tiny_data, "--out", tmp_path / "run")
    assert ended.returncode == 130
    assert ended.stderr.endswith("stopped; the same command continues from here\n")
