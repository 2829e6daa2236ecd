"""What mining did, in numbers: every candidate is counted once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from whet.mine.candidates import Candidates, Fate
from whet.mine.config import MineConfig
from whet.mine.known import JudgedPairs

MEAN_DIGITS = 6
SHARE_DIGITS = 5

SOURCE_WORDS: dict[str, str] = {
    "given": "given by the data",
    "ance": "of the model's own ranking",
    "bm25": "of BM25's ranking",
    "random": "drawn at random",
}
FATE_WORDS = {
    "found_twice": "found by another search too",
    "outside_window": "of the first ranks, which the recipe skips",
    "known_positive": "known to answer the query",
    "positive_elsewhere": "known to answer it by another split, or to answer a query of the same "
    "text",
    "same_text_as_positive": "of the same text as an answer",
    "above_max_score": "suspected of answering it: above the highest score that the recipe allows",
    "likely_false_negative": "suspected of answering it: they score nearly as high as the answer",
}


@dataclass(frozen=True, slots=True)
class MiningSummary:
    """Counts over all training queries; `candidates` = `taken` + `left_over` + `dropped`, summed.

    `taken` is by source, `dropped` by reason. `short` counts queries with fewer negatives than the
    config says. Scores are the model's inner products, and the positive score is that of each
    query's weakest positive. Ranks are known where the model searched: `mean_positive_rank` is over
    the `positives_found` within the depth, of all `positives`.

    `suspected_share` is over the candidates that no other rule drops. It is the share of those that
    score so close to the positive that they are likely positives. They are dropped.
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
    suspected_share: float = 0.0  # earlier versions did not record it

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "MiningSummary":
        """Undo `to_json`."""
        return cls(**record)

    def counts(self) -> dict[str, int]:
        """Candidates by their fate, in words."""
        counts: dict[str, int] = {}
        for source, count in self.taken.items():
            counts[f"taken as negatives, {SOURCE_WORDS[source]}"] = count
        counts["good, and not needed"] = self.left_over
        for fate, count in self.dropped.items():
            if count:
                counts[FATE_WORDS[fate]] = count
        return counts

    def line(self) -> str:
        """The result in one line."""
        negatives = sum(self.taken.values())
        return (
            f"{negatives:,} hard negatives for {self.queries:,} queries; "
            f"{self.suspected_share:.1%} of the candidates may be answers that nobody marked and "
            "are left out (whet audit looks for the likeliest)"
        )


def summarise(
    candidates: Candidates,
    judged: JudgedPairs,
    positive_scores: Float32[np.ndarray, " query"],
    config: MineConfig,
) -> MiningSummary:
    """Count the fates; `positive_scores` are those of each query's weakest positive."""
    count_of = {fate: int((candidates.fates == fate).sum()) for fate in Fate}
    left_over = count_of[Fate.LEFT_OVER]
    dropped = {}
    for fate in Fate:
        if fate not in (Fate.TAKEN, Fate.LEFT_OVER, Fate.EMPTY):
            dropped[fate.name.lower()] = count_of[fate]

    is_taken = candidates.fates == Fate.TAKEN
    taken: dict[str, int] = {}
    for source in dict.fromkeys(candidates.sources):
        of_source = is_taken[:, candidates.from_source(source)]
        taken[source] = int(of_source.sum())

    suspected = count_of[Fate.LIKELY_FALSE_NEGATIVE] + count_of[Fate.ABOVE_MAX_SCORE]
    unsuspected = count_of[Fate.TAKEN] + left_over
    suspected_share = suspected / max(1, suspected + unsuspected)

    # The columns of "ance" are the model's own ranking, so a positive's column tells its rank.
    is_positive = np.isin(judged.keys(candidates.passages), judged.positives)
    is_positive &= candidates.from_source("ance")
    ranks = np.broadcast_to(candidates.ranks, is_positive.shape)
    return MiningSummary(
        queries=len(is_taken),
        candidates=is_taken.size - count_of[Fate.EMPTY],
        taken=taken,
        left_over=left_over,
        dropped=dropped,
        short=int((is_taken.sum(axis=1) < config.negatives).sum()),
        mean_negative_score=_mean(candidates.scores[is_taken]),
        mean_positive_score=_mean(positive_scores),
        positives=len(judged.positives),
        positives_found=int(is_positive.sum()),
        mean_positive_rank=_mean(ranks[is_positive]),
        suspected_share=round(suspected_share, SHARE_DIGITS),
    )


def _mean(values: np.ndarray) -> float | None:
    if not values.size:
        return None
    mean = float(values.mean(dtype=np.float64))
    return round(mean, MEAN_DIGITS)
