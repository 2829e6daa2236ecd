"""TREC run and qrels files, and the one order in which a ranking is read.

Evaluation tools sort a run by its scores, after rounding to float32. They break ties by passage id,
each in its own direction (trec_eval downward, MS MARCO's script upward). `break_ties` leaves them
no choice: measures and files are made from scores that fall strictly, so every tool sees the order
that the search returned.
"""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from whet.errors import ArtifactError, WhetError
from whet.files import write_text
from whet.records import Judgements, Ranking

# No smaller: near a score of 0 the next float32 is subnormal, and some builds flush those to 0.
MIN_TIE_STEP = np.float32(1e-9)


def break_ties(scores: dict[str, float]) -> dict[str, float]:
    """Give passages of one query scores that fall strictly, also in float32, best passage first.

    Ties keep their order. A score changes only where it is tied, by about one float32 step. Raises
    WhetError on a score that is not finite.

    >>> break_ties({"a": 0.5, "b": 0.75, "c": 0.5})
    {'b': 0.75, 'a': 0.5, 'c': 0.49999994}
    """
    order = sorted(scores, key=lambda passage: -scores[passage])
    falling = np.array([scores[passage] for passage in order], dtype=np.float32)
    not_finite = np.flatnonzero(~np.isfinite(falling))
    if len(not_finite):
        passage = order[int(not_finite[0])]
        raise WhetError(
            f"passage {passage!r} has the score {scores[passage]}; expected a finite number. "
            "Search again."
        )
    for above, below in pairwise(range(len(order))):
        if falling[below] >= falling[above]:
            step = max(np.spacing(abs(falling[above])), MIN_TIE_STEP)
            falling[below] = falling[above] - step
    untied = {}
    for passage, score in zip(order, falling, strict=True):
        untied[passage] = float(str(score))  # the shortest decimal that is this float32
    return untied


def write_trec(path: Path, ranking: Ranking, tag: str) -> None:
    """Write a TREC run: `query Q0 passage rank score tag`, ranks from 1, in the ranking's order.

    White space and % in ids and in the tag are percent-encoded, because the format separates its
    columns by white space.
    """
    tag = _escape(tag)
    lines = []
    for query_id, scores in ranking.items():
        query = _escape(query_id)
        untied = break_ties(scores)
        for rank, (passage_id, score) in enumerate(untied.items(), start=1):
            passage = _escape(passage_id)
            lines.append(f"{query} Q0 {passage} {rank} {score!r} {tag}\n")
    write_text(path, "".join(lines))


def read_trec(path: Path) -> Ranking:
    """Read a TREC run, passages best first; raises ArtifactError with the line that is not one."""
    ranking: Ranking = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            query, _, passage, _, score, _ = line.split()
            scores = ranking.setdefault(unquote(query), {})
            scores[unquote(passage)] = float(score)
        except ValueError:
            raise ArtifactError(
                f"{path}:{number}: {line!r}; expected `query Q0 passage rank score tag`. "
                "Write the run again."
            ) from None
    return {query: break_ties(scores) for query, scores in ranking.items()}


def write_qrels(path: Path, qrels: Judgements) -> None:
    """Write TREC judgements: `query 0 passage grade`, ids encoded as in `write_trec`."""
    lines = []
    for query_id, judged in qrels.items():
        query = _escape(query_id)
        for passage_id, grade in judged.items():
            passage = _escape(passage_id)
            lines.append(f"{query} 0 {passage} {grade}\n")
    write_text(path, "".join(lines))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Evaluate again, or name another run file."
        ) from error


def _escape(name: str) -> str:
    def encode(match: re.Match[str]) -> str:
        return quote(match[0])

    return re.sub(r"[\s%]", encode, name)
