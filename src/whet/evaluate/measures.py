"""Measures of a ranking against judgements, computed by ir-measures (trec_eval underneath).

nDCG takes the grade itself as gain, discounted by log2(rank + 1), as trec_eval, BEIR and MTEB do; it is not the
2^grade - 1 of web search. RR, AP and R count every grade of 1 or more as relevant. A query without any positive passage
cannot be measured and is left out; a query with positives but without results counts as 0.
"""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from jaxtyping import Shaped

from whet.errors import ConfigError, WhetError
from whet.evaluate.runs import break_ties
from whet.records import Judgements, Ranking

MEASURES = ("nDCG@5", "nDCG@10", "RR@10", "AP@10", "R@100")
"""What is reported, in ir-measures' names."""

PRIMARY = "nDCG@10"
"""The measure that the verdict is about; it is named before any result is seen."""


def per_query(
    qrels: Judgements, ranking: Ranking, measures: Sequence[str] = MEASURES
) -> dict[str, dict[str, float]]:
    """Measure → query id → value in [0, 1], for every query that has a positive, in the order of `qrels`.

    Raises WhetError when no query has a positive passage.

    >>> per_query({"q": {"a": 1}}, {"q": {"b": 0.9, "a": 0.8}}, ["RR@10", "R@100"])
    {'RR@10': {'q': 0.5}, 'R@100': {'q': 1.0}}
    """
    import ir_measures

    judged = measurable(qrels)
    if not judged:
        raise WhetError(
            f"none of {len(qrels)} judged queries has a positive passage; expected at least one grade above 0."
        )
    untied = {query: break_ties(ranking[query]) for query in judged if ranking.get(query)}
    named = {ir_measures.parse_measure(name): name for name in measures}
    values = {name: dict.fromkeys(judged, 0.0) for name in measures}
    for found in ir_measures.iter_calc(list(named), judged, untied):
        values[named[found.measure]][found.query_id] = float(found.value)
    return values


def means(values: dict[str, dict[str, float]]) -> dict[str, float]:
    """Measure → mean over its queries."""
    return {measure: fmean(by_query.values()) for measure, by_query in values.items()}


def areas(
    scores: Shaped[np.ndarray, " pair"], relevant: Shaped[np.ndarray, " pair"]
) -> tuple[float, float]:
    """AUC and AUPRC (average precision) of scores against relevance; ConfigError unless both kinds are there."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

    truth = np.asarray(relevant) > 0
    if truth.all() or not truth.any():
        raise ConfigError(
            f"{int(truth.sum())} of {len(truth)} labelled pairs are positive: AUC needs both kinds"
        )
    return float(roc_auc_score(truth, scores)), float(average_precision_score(truth, scores))


def measurable(qrels: Judgements) -> Judgements:
    """Keep the queries that have a positive passage; grades below 0 become 0, judged not relevant."""
    return {
        query: {passage: max(grade, 0) for passage, grade in judged.items()}
        for query, judged in qrels.items()
        if any(grade > 0 for grade in judged.values())
    }
