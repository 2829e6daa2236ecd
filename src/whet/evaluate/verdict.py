"""What the numbers allow to be said: better, worse, or not shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from whet.evaluate.measures import MEASURES, PRIMARY, means, per_query
from whet.evaluate.significance import Comparison, compare
from whet.records import Judgements, Ranking

ALPHA = 0.05
MIN_QUERIES = 10  # of nine, six must get worse and none better for p < 0.05
JSON_DIGITS = 5  # of the fractions in result.json

Verdict: TypeAlias = Literal["better", "worse", "not shown"]

OPENINGS: dict[Verdict, str] = {
    "better": "Better",
    "worse": "Worse",
    "not shown": "Not shown to be better",
}


def verdict(comparison: Comparison) -> Verdict:
    """Better or worse only if the test rejects "no difference" and the interval excludes 0."""
    low, high = comparison.interval
    if comparison.p_value >= ALPHA:
        return "not shown"
    if low > 0 and comparison.difference > 0:
        return "better"
    if high < 0 and comparison.difference < 0:
        return "worse"
    return "not shown"


def shown_worse(
    values: Mapping[str, float],
    reference: Mapping[str, float],
    rng: np.random.Generator,
) -> bool:
    """Whether queries show a model to be worse than a reference; both are query id → value.

    The verdict decides. Fewer than MIN_QUERIES queries hardly reach one: there the mean decides.
    """
    comparison = compare(reference, values, rng)
    if len(values) < MIN_QUERIES:
        return comparison.difference < 0
    return verdict(comparison) == "worse"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Base, tuned and BM25 on one test set: means in [0, 1], and a comparison on every measure.

    `comparisons` compare tuned with base. The verdict is about `measure` alone. `kept_base` says
    that the tuned model is the base model, because no training did better before the test.
    `synthetic` says that the test queries were generated.
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
        """The verdict and what it rests on, in one or two sentences of plain text, values × 100."""
        comparison = self.comparison
        before = points(self.base[self.measure])
        after = points(self.tuned[self.measure])
        queries = f"{comparison.queries} queries"
        if self.synthetic:
            queries += ", all synthetic: real queries may give another result"
        if self.kept_base:
            return (
                "The base model was kept: no trained model qualified to replace it. "
                f"{self.measure} {before} ({queries})."
            )
        difference = signed(comparison.difference)
        low, high = comparison.interval
        interval = f"95 % interval {signed(low)} to {signed(high)}"
        p_value = p_words(comparison.p_value)
        return (
            f"{OPENINGS[self.verdict]}: {self.measure} {before} → {after} "
            f"({difference}, {interval}, {p_value}, {queries}){_too_few(comparison)}."
        )

    @property
    def lexical_note(self) -> str:
        """Advice where BM25, which needs no model, ranks better than the model that was kept.

        Empty otherwise, and for synthetic queries: BM25 filtered those, so it has an advantage.
        """
        bm25 = points(self.bm25[self.measure])
        after = points(self.tuned[self.measure])
        if self.synthetic or float(bm25) <= float(after):
            return ""
        model = "the base model" if self.kept_base else "the tuned model"
        return (
            f"BM25 scores {bm25} without a model, more than {model}'s {after}. Combine both "
            "searches, or try a base model that fits the language and the subject better."
        )

    def to_result(self) -> dict[str, Any]:
        """Give the object that `--json` prints: fractions, rounded to five digits."""
        comparison = self.comparison
        return {
            "verdict": self.verdict,
            "measure": self.measure,
            "base": _rounded(self.base),
            "tuned": _rounded(self.tuned),
            "bm25": _rounded(self.bm25),
            "difference": round(comparison.difference, JSON_DIGITS),
            "interval": [round(end, JSON_DIGITS) for end in comparison.interval],
            "p_value": round(comparison.p_value, JSON_DIGITS),
            "queries": comparison.queries,
            "kept_base": self.kept_base,
            "synthetic": self.synthetic,
        }

    def to_json(self) -> dict[str, Any]:
        """Give all fields, unrounded, for the run's folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evaluation":
        """Undo `to_json`."""
        comparisons = {}
        for measure, comparison in record["comparisons"].items():
            comparisons[measure] = Comparison.from_json(comparison)
        return cls(**{**record, "comparisons": comparisons})


def assess(
    qrels: Judgements,
    base: Ranking,
    tuned: Ranking,
    bm25: Ranking,
    rng: np.random.Generator,
) -> Evaluation:
    """Measure three rankings on the same judgements, and compare tuned with base on every measure.

    Raises WhetError when no query has a positive passage or a score is not finite.
    """
    before = per_query(qrels, base)
    after = per_query(qrels, tuned)
    lexical = per_query(qrels, bm25)
    comparisons = {}
    for measure in MEASURES:
        comparisons[measure] = compare(before[measure], after[measure], rng)
    return Evaluation(
        measure=PRIMARY,
        base=means(before),
        tuned=means(after),
        bm25=means(lexical),
        comparisons=comparisons,
    )


def points(value: float) -> str:
    """Show a fraction as it is shown everywhere: × 100, one decimal.

    >>> points(0.6449)
    '64.5'
    """
    return f"{100 * value:.1f}"


def signed(difference: float) -> str:
    """Show a difference of fractions × 100, one decimal, with its sign; what rounds to 0 is +0.0.

    >>> signed(0.0312), signed(-0.0001)
    ('+3.1', '+0.0')
    """
    tenths = round(100 * difference, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{tenths:+.1f}"


def p_words(p_value: float) -> str:
    """Word a p-value for reading.

    >>> p_words(0.0123), p_words(0.0001)
    ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _too_few(comparison: Comparison) -> str:
    """A remark where even a change in one direction alone would not be significant, else "".

    Of n changed queries the smallest two-sided p is 2 / 2^n: all signs alike.
    """
    changed = comparison.wins + comparison.losses
    smallest_p = 2.0 ** (1 - changed)
    if smallest_p < ALPHA:
        return ""
    return f"; only {changed} of them changed, too few for any test to show a difference"


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {measure: round(value, JSON_DIGITS) for measure, value in values.items()}
