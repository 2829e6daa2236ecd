"""What mining did, in numbers: every candidate is counted once."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from whet.mine.candidates import Candidates, Fate
from whet.mine.config import MineConfig
from whet.mine.known import Judged

SOURCES: dict[str, str] = {
    "given": "given by the data",
    "ance": "of the model's own ranking",
    "bm25": "of BM25's ranking",
    "random": "drawn at random",
}
WORDS = {
    "found_twice": "found by another search too",
    "outside_window": "of the first ranks, which the recipe skips",
    "known_positive": "known to answer the query",
    "positive_elsewhere": "known to answer it by another split, or to answer a query of the same text",
    "same_text_as_positive": "of the same text as an answer",
    "above_max_score": "suspected of answering it: above the highest score that the recipe allows",
    "likely_false_negative": "suspected of answering it: they score nearly as high as the answer",
}


@dataclass(frozen=True, slots=True)
class MiningSummary:
    """Counts over all training queries; `candidates` = sum of `taken` + `left_over` + sum of `dropped`.

    `suspected_share` is the share, of what nothing else speaks against, that scores so close to the positive that it
    probably answers the query: suspected false negatives, which are dropped.

    `short` counts queries with fewer negatives than asked for. Scores are the model's inner products, and the positive
    score is that of each query's weakest positive. Ranks are known where the model searched: `mean_positive_rank` is
    over the `positives_found` within the depth looked at, of all `positives`.
    """

    queries: int
    candidates: int
    taken: dict[str, int]
    left_over: int
    dropped: dict[str, int]
    short: int
    mean_negative_score: float | None
    mean_positive_score: float | None
    positives: int
    positives_found: int
    mean_positive_rank: float | None
    suspected_share: float = 0.0  # runs of earlier versions do not tell

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        return asdict(self)

    def counts(self) -> dict[str, int]:
        """Candidates by what became of them, in words."""
        taken = {
            f"taken as negatives, {SOURCES[source]}": count for source, count in self.taken.items()
        }
        dropped = {WORDS[fate]: count for fate, count in self.dropped.items() if count}
        return taken | {"good, and not needed": self.left_over} | dropped

    def line(self) -> str:
        """What came of it, in one line."""
        return (
            f"{sum(self.taken.values()):,} hard negatives for {self.queries:,} queries; {self.suspected_share:.1%} of "
            "the candidates may be answers that nobody marked and are left out (whet audit looks for the likeliest)"
        )


def summarise(
    candidates: Candidates,
    known: Judged,
    positive_scores: Float32[np.ndarray, " query"],
    config: MineConfig,
) -> MiningSummary:
    """Count the fates; `positive_scores` are those of each query's weakest positive."""
    taken = candidates.fates == Fate.TAKEN
    count = {fate: int((candidates.fates == fate).sum()) for fate in Fate}
    reasons = [fate for fate in Fate if fate not in (Fate.TAKEN, Fate.LEFT_OVER, Fate.EMPTY)]
    suspected = count[Fate.LIKELY_FALSE_NEGATIVE] + count[Fate.ABOVE_MAX_SCORE]
    ranked = np.isin(known.keys(candidates.passages), known.positives) & candidates.from_source(
        "ance"
    )
    return MiningSummary(
        queries=len(taken),
        candidates=taken.size - count[Fate.EMPTY],
        taken={
            s: int(taken[:, candidates.from_source(s)].sum())
            for s in dict.fromkeys(candidates.sources)
        },
        left_over=count[Fate.LEFT_OVER],
        dropped={fate.name.lower(): count[fate] for fate in reasons},
        short=int((taken.sum(axis=1) < config.negatives).sum()),
        mean_negative_score=_mean(candidates.scores[taken]),
        mean_positive_score=_mean(positive_scores),
        positives=len(known.positives),
        positives_found=int(ranked.sum()),
        mean_positive_rank=_mean(np.broadcast_to(candidates.ranks, ranked.shape)[ranked]),
        suspected_share=round(
            suspected / max(1, suspected + count[Fate.TAKEN] + count[Fate.LEFT_OVER]), 5
        ),
    )


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean(dtype=np.float64)), 6) if values.size else None
