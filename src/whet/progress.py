"""Progress of long work, shown by whatever display the program has set.

The library reports messages through `logging.getLogger("whet")`, and the progress of long work
through `Bar` and `track`. By default a bar writes a log line now and then. The command line sets a
display with real bars.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")

logger = logging.getLogger("whet")

LOG_EVERY_SECONDS = 15.0


class Task(Protocol):
    """One piece of work on a display."""

    def advance(self, by: int, note: str) -> None:
        """Count `by` more items as done; `note` is shown beside them."""
        ...

    def close(self) -> None:
        """Remove the task from the display."""
        ...


class Display(Protocol):
    """Shows tasks."""

    def start(self, name: str, total: int, done: int) -> Task:
        """Show a new task of `total` items, of which `done` are done already."""
        ...


class LoggedTask:
    """A task that writes a log line every LOG_EVERY_SECONDS."""

    def __init__(self, name: str, total: int, done: int) -> None:
        self.name = name
        self.total = total
        self.done = done
        self.done_at_start = done
        self.started = time.monotonic()
        self.last_line = self.started

    def advance(self, by: int, note: str) -> None:
        """Count items, and log a line if the last one is old."""
        self.done += by
        now = time.monotonic()
        is_due = now - self.last_line >= LOG_EVERY_SECONDS
        if not is_due or not self.done_at_start < self.done < self.total:
            return
        self.last_line = now
        seconds_per_item = (now - self.started) / (self.done - self.done_at_start)
        seconds_left = seconds_per_item * (self.total - self.done)
        line = f"{self.name} {self.done}/{self.total}, about {seconds_left:.0f} s left {note}"
        logger.info(line.rstrip())

    def close(self) -> None:
        """Nothing to remove."""


class LogDisplay:
    """The default display: log lines."""

    def start(self, name: str, total: int, done: int) -> Task:
        """Start a task that logs."""
        return LoggedTask(name, total, done)


_display: Display = LogDisplay()


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Show all progress on this display while the context is open."""
    global _display
    previous = _display
    _display = display
    try:
        yield
    finally:
        _display = previous


class Bar:
    """How far a piece of work is; a context manager. `total` and `done` count items."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self.name = name
        self.total = total
        self.done = done
        self.task: Task | None = None

    def __enter__(self) -> "Bar":
        self.task = _display.start(self.name, self.total, self.done)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def advance(self, by: int = 1, note: str = "") -> None:
        """Count `by` more items as done."""
        if self.task is not None:
            self.task.advance(by, note)

    def close(self) -> None:
        """Remove the bar."""
        if self.task is not None:
            self.task.close()
            self.task = None


def track(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yield the items while showing how far it is."""
    with Bar(name, total) as bar:
        for item in items:
            yield item
            bar.advance()
