"""TREC run and qrels files, and the one order in which a ranking is read.

Evaluation tools sort a run by its scores and break ties by passage id, each in its own direction (trec_eval downward,
MS MARCO's script upward), after rounding to float32. `break_ties` takes that freedom away: measures and files are made from
scores that fall strictly, so every tool sees the order that the search returned.
"""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from whet.artifacts import write_text
from whet.errors import ArtifactError, WhetError
from whet.records import Judgements, Ranking

TIE_STEP = 1e-9  # no smaller: near a score of 0 the next float32 is subnormal, and some builds flush those to 0


def break_ties(scores: dict[str, float]) -> dict[str, float]:
    """Passages of one query, best first, with scores that fall strictly also in float32; ties keep their order.

    A score changes only where it is tied, by about one float32 step. Raises WhetError on a score that is not finite.

    >>> break_ties({"a": 0.5, "b": 0.75, "c": 0.5})
    {'b': 0.75, 'a': 0.5, 'c': 0.49999994}
    """
    order = sorted(scores, key=lambda passage: -scores[passage])
    falling = np.array([scores[passage] for passage in order], dtype=np.float32)
    if not np.isfinite(falling).all():
        wrong = order[int(np.flatnonzero(~np.isfinite(falling))[0])]
        raise WhetError(
            f"passage {wrong!r} has the score {scores[wrong]}; expected a finite number. Search again."
        )
    for above, below in pairwise(range(len(order))):
        if falling[below] >= falling[above]:
            falling[below] = falling[above] - max(
                np.spacing(abs(falling[above])), np.float32(TIE_STEP)
            )
    return {passage: float(str(score)) for passage, score in zip(order, falling, strict=True)}


def write_trec(path: Path, ranking: Ranking, tag: str) -> None:
    """Write a TREC run: `query Q0 passage rank score tag`, ranks from 1, queries in the ranking's order.

    White space and % in ids and in the tag are percent-encoded, for the format separates its columns by white space.
    """
    write_text(
        path,
        "".join(
            f"{_escape(query)} Q0 {_escape(passage)} {rank} {score!r} {_escape(tag)}\n"
            for query, scores in ranking.items()
            for rank, (passage, score) in enumerate(break_ties(scores).items(), start=1)
        ),
    )


def read_trec(path: Path) -> Ranking:
    """Read a TREC run, passages best first; raises ArtifactError with the line that is not one."""
    ranking: Ranking = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            query, _, passage, _, score, _ = line.split()
            ranking.setdefault(unquote(query), {})[unquote(passage)] = float(score)
        except ValueError:
            expected = "expected `query Q0 passage rank score tag`"
            raise ArtifactError(
                f"{path}:{number}: {line!r}; {expected}. Write the run again."
            ) from None
    return {query: break_ties(scores) for query, scores in ranking.items()}


def write_qrels(path: Path, qrels: Judgements) -> None:
    """Write TREC judgements: `query 0 passage grade`, ids encoded as in `write_trec`."""
    write_text(
        path,
        "".join(
            f"{_escape(query)} 0 {_escape(passage)} {grade}\n"
            for query, judged in qrels.items()
            for passage, grade in judged.items()
        ),
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Evaluate again, or name another run file."
        ) from error


def _escape(name: str) -> str:
    return re.sub(r"[\s%]", lambda found: quote(found[0]), name)
