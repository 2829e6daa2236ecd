"""What stderr shows: plain lines in a file, wrapped lines, colours and bars on a terminal."""

import logging
import os
import pty
import re
import sys
from contextlib import contextmanager, redirect_stderr
from unittest.mock import patch

import pytest

from whet import progress
from whet.cli.terminal import ask, confirmation, print_line, stderr_console, terminal
from whet.generate.spending import agree, refuse
from whet.progress import Bar

LONG_LINE = "random batches of soft labels by the base model and by bm25, designing spmm kernels"
MARKUP = "find [bold]files[/bold] [/] :smile:"
END = "<end>"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def screen():
    """Make stderr a terminal of 40 columns; yield a function that reads what was shown on it."""
    main_end, other_end = pty.openpty()
    environment = {"COLUMNS": "40", "TERM": "xterm"}
    with (
        os.fdopen(other_end, "w", encoding="utf-8") as stream,
        patch.dict(os.environ, environment),
        redirect_stderr(stream),
    ):

        def read():
            stream.write(END)
            stream.flush()
            shown = b""
            while END.encode() not in shown:
                shown += os.read(main_end, 100_000)
            return shown.decode().removesuffix(END)

        yield read
    os.close(main_end)


def test_a_terminal_wraps_lines_between_words():
    with screen() as shown_on_screen:
        with terminal(quiet=False):
            logging.getLogger("whet.mine").info(LONG_LINE)
        lines = ESCAPE.sub("", shown_on_screen()).split("\r\n")
        assert len(lines) > 2
        assert max(map(len, lines)) <= 40
        assert " ".join(line.strip() for line in lines).strip() == LONG_LINE


def test_a_file_gets_whole_lines_without_a_colour(capfd):
    with terminal(quiet=False):
        logging.getLogger("whet.mine").warning(LONG_LINE * 3)
    assert capfd.readouterr().err == f"warning: {LONG_LINE * 3}\n"


def test_a_warning_is_yellow_and_information_is_not():
    with screen() as shown_on_screen:
        with terminal(quiet=False):
            logging.getLogger("whet").warning("beware")
            logging.getLogger("whet").info("fine")
        shown = shown_on_screen()
        assert "\x1b[33mwarning: beware\x1b[0m" in shown
        assert "\x1b" not in shown.partition("beware\x1b[0m")[2]


def test_markup_in_a_message_means_nothing():
    with screen() as shown_on_screen:
        with terminal(quiet=False):
            logging.getLogger("whet").info(MARKUP)
        assert shown_on_screen() == MARKUP + "\r\n"


def test_bars_show_on_a_terminal_and_go_when_done():
    with screen() as shown_on_screen:
        with terminal(quiet=False):
            with Bar("mine [x]", total=4, done=1) as outer:
                outer.advance(2, note="[note]")
                with Bar("inner", total=2):
                    pass
            assert progress._display.progress.tasks == []
        shown = shown_on_screen()
        for part in ("mine [x]", "3/4", "[note]", "inner", "0/2"):
            assert part in shown
        assert shown.rstrip("\r").endswith("\x1b[2K\x1b[?25h")  # erased; the cursor is back


def test_without_a_terminal_there_are_no_bars(capfd):
    with terminal(quiet=False), Bar("mine", total=4) as bar:
        bar.advance()
    assert capfd.readouterr() == ("", "")


def test_quiet_shows_nothing_not_even_warnings(capfd):
    with terminal(quiet=True), Bar("mine", total=4):
        logging.getLogger("whet").error("failed")
    assert capfd.readouterr() == ("", "")


def state():
    logger = logging.getLogger("whet")
    return list(logger.handlers), logger.level, logger.propagate, progress._display


def fail_unlike(before):
    assert state() != before
    raise ValueError("mine")


@pytest.mark.parametrize("quiet", [True, False])
def test_everything_is_as_before_even_after_an_error(quiet):
    before = state()
    with pytest.raises(ValueError, match="mine"), terminal(quiet):
        fail_unlike(before)
    assert state() == before


def test_nobody_is_asked_without_a_terminal():
    with screen():
        assert confirmation(yes=True, quiet=True) is agree
        assert confirmation(yes=False, quiet=False) is refuse  # stdin is no terminal under pytest


def test_the_question_is_asked_where_somebody_sits(monkeypatch):
    with screen() as shown_on_screen:
        main_end, other_end = pty.openpty()
        with os.fdopen(other_end) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert confirmation(yes=False, quiet=True) is refuse
            assert confirmation(yes=False, quiet=False) is ask
            for answer, agreed in (("y", True), ("n", False), ("", False)):
                os.write(main_end, f"{answer}\n".encode())
                assert ask("m: 12 calls [1]. Go on?") is agreed
        os.close(main_end)
        assert "m: 12 calls [1]. Go on?" in shown_on_screen().replace("\r\n", " ")


def test_a_line_in_a_file_is_never_broken(capfd):
    print_line(stderr_console(), LONG_LINE * 3)
    assert capfd.readouterr().err == LONG_LINE * 3 + "\n"
