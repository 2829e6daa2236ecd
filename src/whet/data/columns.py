"""Which column of a table is what: by name, never by order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.markup import escape

from whet.data.faults import Faults
from whet.progress import say

QUERY = ("query", "question", "anchor")
POSITIVE = ("positive", "positives", "pos", "passage", "document", "answer")
UNSURE = "document"  # beside an answer: its text, or the name of the file that it stands in?
NEGATIVE = ("negative", "negatives", "neg", "hard_negatives")
NEGATIVE_QUERY = ("neg_q", "negative_queries")
GRADE = ("grade", "relevance", "label", "score")
NUMBERED_NEGATIVE = re.compile(r"neg(ative)?_?(\d+)")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names, as the table writes them, of the columns that whet reads."""

    query: str
    positive: str
    negatives: tuple[str, ...]
    negative_queries: str | None
    grade: str | None


def has_pairs(names: Iterable[str]) -> bool:
    """Whether there is a column for the query and one for the positive.

    >>> has_pairs(["Question", "answer"]), has_pairs(["name", "answer"])
    (True, False)
    """
    known = {name.lower() for name in names}
    return not known.isdisjoint(QUERY) and not known.isdisjoint(POSITIVE)


def unasked(names: Sequence[str]) -> bool:
    """Whether a row is a passage that nobody asks for: its one column is the positive's.

    >>> unasked(["positive"]), unasked(["name", "answer"])
    (True, False)
    """
    return len(names) == 1 and names[0].lower() in POSITIVE


def understand(names: Sequence[str], where: str, faults: Faults) -> Columns | None:
    """Find the columns among `names`, in any case; None, with a fault, where the query or the positive is missing."""
    query = _one_of(QUERY, "query", names, where, faults)
    positive = _one_of(POSITIVE, "positive passage", names, where, faults)
    for what, found, understood in (
        ("query", query, QUERY),
        ("positive passage", positive, POSITIVE),
    ):
        if found is None:
            listed = ", ".join(names) or "none"
            cure = f"Name one of them {', '.join(understood[:-1])} or {understood[-1]}."
            if positive is not None:
                cure += (
                    f" Where nobody asks for these passages, {positive} has to be the one column."
                )
            faults.error(
                "missing-column", where, f"no column for the {what}; columns found: {listed}", cure
            )
    if query is None or positive is None:
        return None
    negatives = [name for name in (_one_of(NEGATIVE, "negatives", names, where, faults),) if name]
    numbered = [
        (int(match[2]), name)
        for name in names
        if (match := NUMBERED_NEGATIVE.fullmatch(name.lower()))
    ]
    negatives += [name for _, name in sorted(numbered)]
    negative_queries = _one_of(NEGATIVE_QUERY, "negatives' queries", names, where, faults)
    grade = _one_of(GRADE, "grade", names, where, faults)
    used = {query, positive, *negatives, negative_queries, grade}
    if ignored := [name for name in names if name not in used]:
        say(escape(f"{where}: columns ignored: {', '.join(ignored)}"))
    return Columns(query, positive, tuple(negatives), negative_queries, grade)


def _one_of(
    aliases: tuple[str, ...], what: str, names: Sequence[str], where: str, faults: Faults
) -> str | None:
    known = {name.lower(): name for name in names}
    found = [known[alias] for alias in aliases if alias in known]
    if len(found) > 1:
        message = f"columns {', '.join(found)} can all be the {what}"
        if found[0] == UNSURE:
            faults.error(
                "ambiguous-column", where, message, f"Name the one that is meant {aliases[0]}."
            )
        else:
            faults.warn(
                "ambiguous-column",
                where,
                f"{message}; {found[0]} is read",
                "Rename or delete the others.",
            )
    return found[0] if found else None
