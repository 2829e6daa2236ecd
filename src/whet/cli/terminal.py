"""Standard error as people see it: messages, progress bars, and the question whether to go on."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.prompt import Confirm as Question
from rich.text import Text

from whet.generate.spending import Confirm, agree, refuse
from whet.progress import Display, LogDisplay, Task, shown_on

STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}
ABOVE_ALL_LEVELS = logging.CRITICAL + 1


def stderr_console() -> Console:
    """A console on stderr that prints texts as they are."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_line(console: Console, text: Text | str) -> None:
    """Print a line. A terminal wraps it between words; a file gets it whole."""
    console.print(text, soft_wrap=not console.is_terminal)


class ConsoleHandler(logging.Handler):
    """Prints log records as plain lines; warnings begin with `warning: ` and are in colour."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record. Rich markup in it has no meaning."""
        try:
            line = self.format(record)
            if record.levelno == logging.WARNING and not line.startswith("warning: "):
                line = f"warning: {line}"
            print_line(self.console, Text(line, style=STYLES.get(record.levelno, "")))
        except Exception:  # noqa: BLE001  # logging's rule: a handler never raises
            self.handleError(record)


class BarTask:
    """One bar of a RichDisplay."""

    def __init__(self, display: "RichDisplay", task: TaskID) -> None:
        self.display = display
        self.task = task

    def advance(self, by: int, note: str) -> None:
        """Move the bar."""
        self.display.progress.update(self.task, advance=by, note=note)

    def close(self) -> None:
        """Remove the bar."""
        self.display.remove(self.task)


class RichDisplay:
    """Bars below the messages, one for each open task."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.progress = Progress(*columns, console=console, transient=True)

    def start(self, name: str, total: int, done: int) -> Task:
        """Add a bar."""
        task = self.progress.add_task(name, total=total, completed=done, note="")
        self.progress.start()
        return BarTask(self, task)

    def remove(self, task: TaskID) -> None:
        """Remove a bar. Without bars the display gives the screen back."""
        self.progress.remove_task(task)
        if not self.progress.tasks:
            self.progress.stop()


@contextmanager
def terminal(quiet: bool) -> Iterator[None]:
    """Show whet's messages and progress on stderr while the context is open; nothing if quiet."""
    console = stderr_console()
    handler = logging.NullHandler() if quiet else ConsoleHandler(console)
    display: Display = LogDisplay()
    if console.is_terminal and not quiet:
        display = RichDisplay(console)
    logger = logging.getLogger("whet")
    level_before = logger.level
    propagate_before = logger.propagate
    logger.setLevel(ABOVE_ALL_LEVELS if quiet else logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        with shown_on(display):
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate_before
        logger.setLevel(level_before)


def confirmation(yes: bool, quiet: bool) -> Confirm:
    """What answers a question about costs: `--yes`, else whoever sits at the terminal."""
    if yes:
        return agree
    is_interactive = stderr_console().is_terminal and sys.stdin.isatty()
    return ask if is_interactive and not quiet else refuse


def ask(question: str) -> bool:
    """Ask on stderr; no by default."""
    return Question.ask(Text(question), console=stderr_console(), default=False)
