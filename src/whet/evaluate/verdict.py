"""What the numbers allow to be said: better, worse, or not shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from whet.evaluate.measures import MEASURES, PRIMARY, means, per_query
from whet.evaluate.significance import Comparison, compare
from whet.records import Judgements, Ranking

ALPHA = 0.05
FEWEST = 10  # queries; of nine, six must get worse and none better for p < 0.05
DIGITS = 5  # of the fractions in JSON

Verdict: TypeAlias = Literal["better", "worse", "not shown"]


def verdict(comparison: Comparison) -> Verdict:
    """Better or worse only when the test rejects "no difference" and the interval lies wholly on the same side of 0."""
    low, high = comparison.interval
    if comparison.p_value < ALPHA and low > 0 and comparison.difference > 0:
        return "better"
    if comparison.p_value < ALPHA and high < 0 and comparison.difference < 0:
        return "worse"
    return "not shown"


def shown_worse(
    one: Mapping[str, float], other: Mapping[str, float], rng: np.random.Generator
) -> bool:
    """Whether queries (id → value) show one model to be worse than another: by the verdict, or fewer by their mean."""
    found = compare(other, one, rng)
    return found.difference < 0 if len(one) < FEWEST else verdict(found) == "worse"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Base, tuned and BM25 on one test set: means in [0, 1], and tuned against base on every measure.

    The verdict is about `measure` alone. `kept_base` says that the tuned model is the base model, for no other did
    better before the test; `synthetic` that the test queries were generated.
    """

    measure: str
    base: dict[str, float]
    tuned: dict[str, float]
    bm25: dict[str, float]
    comparisons: dict[str, Comparison]
    kept_base: bool = False
    synthetic: bool = False

    @property
    def comparison(self) -> Comparison:
        """Tuned against base on the measure that the verdict is about."""
        return self.comparisons[self.measure]

    @property
    def verdict(self) -> Verdict:
        """Better, worse, or not shown."""
        return verdict(self.comparison)

    @property
    def summary_sentence(self) -> str:
        """The verdict and what it rests on, in one sentence of plain text, values × 100."""
        found, opening = self.comparison, _OPENINGS[self.verdict]
        low, high = found.interval
        before, after = points(self.base[self.measure]), points(self.tuned[self.measure])
        of = f"{found.queries} queries{', all synthetic: real ones may tell otherwise' if self.synthetic else ''}"
        if self.kept_base:
            return f"The base model was kept, for no trained one was fit to replace it: {self.measure} {before} ({of})."
        change = f"{self.measure} {before} → {after} ({signed(found.difference)}"
        sureness = f"95 % interval {signed(low)} to {signed(high)}, {p_words(found.p_value)}, {of})"
        return f"{opening}: {change}, {sureness}{_too_few(found)}."

    @property
    def lexical_note(self) -> str:
        """What to do where BM25, without any model, ranks better than the model that was kept; else "".

        Nor is anything said where queries were generated: those have been sifted by BM25.
        """
        lexical, after = points(self.bm25[self.measure]), points(self.tuned[self.measure])
        if self.synthetic or float(lexical) <= float(after):
            return ""
        whose = "the base model" if self.kept_base else "the tuned model"
        cure = "search with both, or try a base model that knows language and subject better"
        return f"BM25 comes to {lexical} without a model, more than {whose}'s {after}: {cure}."

    def to_json(self) -> dict[str, Any]:
        """Give the object that `--json` prints: fractions, rounded to five digits."""
        found = self.comparison
        return {
            "verdict": self.verdict,
            "measure": self.measure,
            "base": _rounded(self.base),
            "tuned": _rounded(self.tuned),
            "bm25": _rounded(self.bm25),
            "difference": round(found.difference, DIGITS),
            "interval": [round(end, DIGITS) for end in found.interval],
            "p_value": round(found.p_value, DIGITS),
            "queries": found.queries,
            "kept_base": self.kept_base,
            "synthetic": self.synthetic,
        }

    def to_record(self) -> dict[str, Any]:
        """Everything, unrounded, for the run folder."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Evaluation":
        """Undo `to_record`, also after a way through JSON."""
        comparisons = {
            measure: Comparison(**{**found, "interval": tuple(found["interval"])})
            for measure, found in record["comparisons"].items()
        }
        return cls(**{**record, "comparisons": comparisons})


def assess(
    qrels: Judgements, base: Ranking, tuned: Ranking, bm25: Ranking, rng: np.random.Generator
) -> Evaluation:
    """Measure two rankings and BM25's on the same judgements and compare tuned with base on every measure.

    Raises WhetError when no query has a positive passage or a score is not finite.
    """
    before, after = per_query(qrels, base), per_query(qrels, tuned)
    return Evaluation(
        measure=PRIMARY,
        base=means(before),
        tuned=means(after),
        bm25=means(per_query(qrels, bm25)),
        comparisons={
            measure: compare(before[measure], after[measure], rng) for measure in MEASURES
        },
    )


def points(value: float) -> str:
    """Show a fraction as it is shown everywhere: × 100, one decimal.

    >>> points(0.6449)
    '64.5'
    """
    return f"{100 * value:.1f}"


def signed(difference: float) -> str:
    """Show a difference of fractions × 100, one decimal, always with its sign; what rounds to 0 is +0.0.

    >>> signed(0.0312), signed(-0.0001)
    ('+3.1', '+0.0')
    """
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def p_words(p_value: float) -> str:
    """Word a p-value for reading.

    >>> p_words(0.0123), p_words(0.0001)
    ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


_OPENINGS: dict[Verdict, str] = {
    "better": "Better",
    "worse": "Worse",
    "not shown": "Not shown to be better",
}


def _too_few(comparison: Comparison) -> str:
    moved = comparison.wins + comparison.losses
    smallest_p = 2.0 ** (1 - moved)
    if smallest_p < ALPHA:
        return ""
    return f"; only {moved} of them changed, too few for any test to show a difference"


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {measure: round(value, DIGITS) for measure, value in values.items()}
