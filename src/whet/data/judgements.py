"""What split names, scores and judgements mean, for every format alike."""

from whet.data.faults import Faults
from whet.records import Judgements

SPLITS = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
"""What a file or a data set may call a split, and what whet calls it."""

SPLIT_ORDER = ("train", "dev", "test")


def split_rank(name: str) -> int:
    """Return the place of a split in SPLIT_ORDER; `name` is a key of SPLITS.

    >>> sorted(["test", "validation", "train"], key=split_rank)
    ['train', 'validation', 'test']
    """
    return SPLIT_ORDER.index(SPLITS[name])


def grade_of(value: object, where: str, faults: Faults) -> int | None:
    """Return the relevance grade as a whole number, or None with a fault.

    >>> grade_of("2", "qrels/test.tsv:1", Faults()), grade_of("1.0", "qrels/test.tsv:2", Faults())
    (2, 1)
    """
    try:
        number = float(str(value))
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    cure = (
        "Write a whole number: 1 or more is relevant, 0 or -1 judged not relevant. "
        "Rename a column that holds something else."
    )
    faults.error(
        "bad-score",
        where,
        f"score {value!r} is not a whole number",
        cure,
    )
    return None


def add_judgement(
    judged: Judgements,
    query: str,
    passage: str,
    grade: int,
    where: str,
    faults: Faults,
) -> None:
    """Record one judgement; the same pair with another grade is a fault."""
    known_grade = judged.setdefault(query, {}).setdefault(passage, grade)
    if known_grade != grade:
        pair = f"query {query!r} and passage {passage!r}"
        faults.error(
            "contradiction",
            where,
            f"{pair} are judged {grade} here and {known_grade} before",
            "Keep one of the two judgements.",
        )
