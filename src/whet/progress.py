"""Progress and messages on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console

T = TypeVar("T")

console = Console(stderr=True, highlight=False)


def set_quiet(quiet: bool) -> None:
    """Silence everything that goes to stderr through this module."""
    console.quiet = quiet


def say(message: str) -> None:
    """One line for the user; rich markup is understood."""
    console.print(message, soft_wrap=True)


def track(items: Iterable[T], what: str, total: int, every_s: float = 15.0) -> Iterator[T]:
    """Yield the items while showing how far it is and how long it will take.

    `total` counts items. Off a terminal a plain line appears every `every_s` seconds, so a log shows life.
    """
    if console.is_terminal and not console.quiet:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            yield from bar.track(items, total=total)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every_s and done < total:
            last = now
            say(f"{what}: {done}/{total}, about {(now - start) / done * (total - done):.0f} s left")
