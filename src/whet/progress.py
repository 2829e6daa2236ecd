"""Progress and messages on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

console = Console(stderr=True, highlight=False)

LINE_EVERY_S = 15.0


def set_quiet(quiet: bool) -> None:
    """Silence everything that goes to stderr through this module."""
    console.quiet = quiet


def say(message: str) -> None:
    """One line for the user; rich markup is understood."""
    console.print(message, soft_wrap=True)


class Bar:
    """How far a piece of work is, with a note and the time left; a context manager.

    `total` and `done` count items. Off a terminal a plain line appears now and then, so that a log shows life.
    """

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self.what, self.total, self.done, self.first = what, total, done, done
        self.began = self.last = time.monotonic()
        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.live = console.is_terminal and not console.quiet
        self.bar = Progress(*columns, console=console, transient=True, disable=not self.live)
        self.task = self.bar.add_task(what, total=total, completed=done, note="")

    def __enter__(self) -> "Bar":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def advance(self, by: int = 1, note: str = "") -> None:
        """Count `by` more items as done."""
        self.done += by
        self.bar.update(self.task, advance=by, note=note)
        now = time.monotonic()
        if (
            not self.live
            and now - self.last >= LINE_EVERY_S
            and self.first < self.done < self.total
        ):
            self.last = now
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            say(f"{self.what} {self.done}/{self.total}, about {left:.0f} s left {note}".rstrip())


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield the items while showing how far it is."""
    with Bar(what, total) as bar:
        for item in items:
            yield item
            bar.advance()
