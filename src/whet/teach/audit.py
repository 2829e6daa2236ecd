"""The false-negative audit: unjudged passages that the teachers together take for answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from whet.records import Collection, Teacher
from whet.teach.pairs import Pairs, Rows
from whet.teach.scores import score_pairs
from whet.teach.suspects import features, relevance

EXCERPT_LENGTH = 400  # characters of a passage in the table and on the page

Hits: TypeAlias = Int64[np.ndarray, "query rank"]
IsClosed: TypeAlias = Bool[np.ndarray, "query rank"]
Scores: TypeAlias = Float32[np.ndarray, "teacher pair"]
LowestScores: TypeAlias = Float64[np.ndarray, "teacher query"]
OfTeachers: TypeAlias = Float[np.ndarray, " teacher"]


class Candidate(NamedTuple):
    """A passage that the base model ranks high for a training query and that nobody judged.

    Rows follow `collection.positives("train")` and `collection.passages`; `rank` counts from 1.
    """

    query_row: int
    passage_row: int
    rank: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A passage that probably answers a training query; `rank` is the base model's.

    `scores` are the teachers' scores of this pair. `answer` holds, for each teacher, the lowest
    score that it gives to one of the query's known answers.
    """

    query_id: str
    passage_id: str
    probability: float
    rank: int
    query: str
    passage: str
    scores: Mapping[str, float]
    answer: Mapping[str, float]

    @property
    def reason(self) -> str:
        """Each teacher's score beside that of the known answer."""
        parts = [f"base rank {self.rank}"]
        for name, score in self.scores.items():
            answer = self.answer[name]
            parts.append(f"{name} {score:.3g} (known answer {answer:.3g})")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The line of suspects.jsonl."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Suspect":
        """Read what `to_json` gave."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """How many candidates an audit scored, and how many of them are suspects."""

    candidates: int
    suspects: int

    @property
    def share(self) -> float:
        """Suspects per candidate; 0 where there is no candidate."""
        if not self.candidates:
            return 0.0
        return round(self.suspects / self.candidates, 5)

    def to_json(self) -> dict[str, Any]:
        """The content of audit/summary.json."""
        return {
            "candidates": self.candidates,
            "suspects": self.suspects,
            "share": self.share,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "AuditSummary":
        """Read what `to_json` gave."""
        return cls(
            candidates=values["candidates"],
            suspects=values["suspects"],
        )


@dataclass(frozen=True)
class AuditTeachers:
    """The teachers of an audit, loaded one after the other so that memory holds one at a time.

    `load` gives the teacher of a name. `store` is the folder of all teachers' scores. `background`
    are random pairs, with which a teacher's other scores are compared.
    """

    names: Sequence[str]
    load: Callable[[str], Teacher]
    store: Path
    background: Pairs

    def score(self, pairs: Pairs) -> tuple[Scores, Scores]:
        """Every teacher's scores of `pairs` and of the background, a row for each teacher."""
        all_scores = []
        all_background_scores = []
        for name in self.names:
            teacher = self.load(name)
            scores = score_pairs(teacher, pairs, self.store)
            background_scores = score_pairs(teacher, self.background, self.store)
            all_scores.append(scores)
            all_background_scores.append(background_scores)
            del teacher  # before the next one is loaded
        return np.stack(all_scores), np.stack(all_background_scores)


def open_candidates(hits: Hits, is_closed: IsClosed) -> list[Candidate]:
    """The hits that are not closed, query by query and by rank.

    `hits` are the passage rows that a search found for each training query. Where it found fewer
    than its depth, the rest of the row is -1.

    >>> open_candidates(np.array([[5, 2], [3, -1]]), np.array([[True, False], [True, False]]))
    [Candidate(query_row=0, passage_row=2, rank=2)]
    """
    is_open = ~is_closed & (hits >= 0)
    candidates = []
    for query_row, column in np.argwhere(is_open).tolist():
        passage_row = int(hits[query_row, column])
        candidate = Candidate(query_row, passage_row, rank=column + 1)
        candidates.append(candidate)
    return candidates


def find_suspects(
    collection: Collection,
    candidates: Sequence[Candidate],
    teachers: AuditTeachers,
    threshold: float,
) -> list[Suspect]:
    """The candidates whose probability of being an answer reaches the threshold, highest first."""
    if not candidates:
        return []

    query_ids = list(collection.positives("train"))
    passage_ids = list(collection.passages)
    queries = [collection.queries[query] for query in query_ids]
    passages = [passage.content for passage in collection.passages.values()]

    # Query row and passage row of all pairs: first the known answers, then the candidates.
    known_rows = _known_rows(collection)
    known_count = len(known_rows)
    candidate_rows = [candidate[:2] for candidate in candidates]
    rows = np.array(known_rows + candidate_rows, np.int64)
    query_rows = rows[:, 0]
    passage_rows = rows[:, 1]
    is_known = np.arange(len(rows)) < known_count

    pairs = Pairs(queries, passages, query_rows, passage_rows)
    scores, background_scores = teachers.score(pairs)
    pair_features = features(scores, query_rows, background_scores)
    probabilities = relevance(pair_features, is_known)
    lowest = _lowest_scores(
        scores[:, is_known],
        query_rows[is_known],
        len(queries),
    )

    suspects = []
    for column, candidate in enumerate(candidates, start=known_count):
        probability = float(probabilities[column])
        if probability < threshold:
            continue
        query_row, passage_row, rank = candidate
        passage = passages[passage_row]
        suspect = Suspect(
            query_id=query_ids[query_row],
            passage_id=passage_ids[passage_row],
            probability=round(probability, 4),
            rank=rank,
            query=queries[query_row],
            passage=passage[:EXCERPT_LENGTH],
            scores=_by_name(teachers.names, scores[:, column]),
            answer=_by_name(teachers.names, lowest[:, query_row]),
        )
        suspects.append(suspect)
    return sorted(suspects, key=lambda suspect: -suspect.probability)


def first_answers(collection: Collection) -> dict[str, str]:
    """Training query id → the first EXCERPT_LENGTH characters of its first known answer."""
    answers = {}
    for query, passages in collection.positives("train").items():
        passage = collection.passages[passages[0]]
        answers[query] = passage.content[:EXCERPT_LENGTH]
    return answers


def _known_rows(collection: Collection) -> list[tuple[int, int]]:
    """Query row and passage row of every training pair."""
    query_ids = collection.positives("train")
    row_of_query = {query: row for row, query in enumerate(query_ids)}
    row_of_passage = {passage: row for row, passage in enumerate(collection.passages)}
    rows = []
    for query, passage in collection.pairs("train"):
        query_row = row_of_query[query]
        passage_row = row_of_passage[passage]
        rows.append((query_row, passage_row))
    return rows


def _lowest_scores(
    scores: Scores,
    query_rows: Rows,
    query_count: int,
) -> LowestScores:
    """Every teacher's lowest score of each query's known answers.

    scores      .9 .4 .7
    query_rows   0  0  1    →    .4 .7
    """
    shape = (len(scores), query_count)
    lowest = np.full(shape, np.inf)
    for teacher_lowest, teacher_scores in zip(lowest, scores, strict=True):
        np.minimum.at(teacher_lowest, query_rows, teacher_scores)
    return lowest


def _by_name(names: Sequence[str], values: OfTeachers) -> dict[str, float]:
    """Teachers' names with their values, rounded to four digits."""
    rounded = {}
    for name, value in zip(names, values.tolist(), strict=True):
        rounded[name] = round(value, 4)
    return rounded
