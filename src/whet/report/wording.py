"""How texts and values are worded in the terminal, on the page and in the Markdown file."""

from collections.abc import Iterator, Mapping
from typing import Any

from whet.evaluate.slices import QueryRow
from whet.evaluate.verdict import signed

EXCERPT_LENGTH = 240  # characters of a passage
NO_VALUE = "–"


def percent(share: float | None) -> str:
    """Show a share without decimals, a dash where there is none.

    >>> percent(0.256)
    '26 %'
    """
    if share is None:
        return NO_VALUE
    return f"{100 * share:.0f} %"


def interval(ends: tuple[float, float] | None) -> str:
    """Show an interval of differences × 100, a dash where there is none.

    >>> interval((0.012, 0.034))
    '+1.2 to +3.4'
    """
    if ends is None:
        return NO_VALUE
    low, high = ends
    return f"{signed(low)} to {signed(high)}"


def rank_change(row: QueryRow) -> str:
    """Show the rank of a query's first relevant passage before and after."""
    before = _rank(row.base_rank)
    after = _rank(row.tuned_rank)
    return f"{before} → {after}"


def _rank(rank: int | None) -> str:
    return "not found" if rank is None else str(rank)


def excerpt(text: str, limit: int = EXCERPT_LENGTH) -> str:
    """Put a text on one line, and cut it at a word where it is longer than `limit` characters.

    An ellipsis stands for what was cut off.

    >>> excerpt("one two  three", limit=9)
    'one two …'
    """
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    start = line[: limit - 1]
    if " " in start:
        start = start.rsplit(" ", 1)[0]
    return start + " …"


def duration(seconds: float) -> str:
    """Show a time span.

    >>> duration(7.34), duration(95)
    ('7.3 s', '1 min 35 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def judged_on(judge: str) -> str:
    """Say where scores before the test come from.

    >>> judged_on("dev"), judged_on("cross-validation")
    ('on dev', 'by cross-validation')
    """
    return "on dev" if judge == "dev" else f"by {judge}"


def settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested settings to dotted names and text.

    >>> list(settings({"train": {"epochs": 2}, "seed": 7}))
    [('train.epochs', '2'), ('seed', '7')]
    """
    for key, value in config.items():
        name = prefix + key
        if isinstance(value, Mapping) and value:
            yield from settings(value, f"{name}.")
        else:
            yield name, str(value)
