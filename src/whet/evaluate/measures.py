"""Measures of a ranking against judgements, computed by ir-measures (trec_eval underneath).

nDCG takes the grade itself as gain, discounted by log2(rank + 1), as trec_eval, BEIR and MTEB do.
It is not the 2^grade - 1 of web search. RR, AP and R count every grade of 1 or more as relevant. A
query without any positive passage cannot be measured and is left out. A query with positives but
without results counts as 0.
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
    qrels: Judgements,
    ranking: Ranking,
    measures: Sequence[str] = MEASURES,
) -> dict[str, dict[str, float]]:
    """Measure → query id → value in [0, 1], for every query that has a positive, in `qrels`' order.

    Raises WhetError when no query has a positive passage.

    >>> per_query({"q": {"a": 1}}, {"q": {"b": 0.9, "a": 0.8}}, ["RR@10", "R@100"])
    {'RR@10': {'q': 0.5}, 'R@100': {'q': 1.0}}
    """
    import ir_measures

    measured = measurable(qrels)
    if not measured:
        raise WhetError(
            f"none of {len(qrels)} judged queries has a positive passage; "
            "expected at least one grade above 0."
        )
    untied: Ranking = {}
    for query in measured:
        if ranking.get(query):
            untied[query] = break_ties(ranking[query])
    name_of = {ir_measures.parse_measure(name): name for name in measures}
    values = {name: dict.fromkeys(measured, 0.0) for name in measures}
    for metric in ir_measures.iter_calc(list(name_of), measured, untied):
        name = name_of[metric.measure]
        values[name][metric.query_id] = float(metric.value)
    return values


def means(values: dict[str, dict[str, float]]) -> dict[str, float]:
    """Measure → mean over its queries."""
    mean_of = {}
    for measure, value_of_query in values.items():
        mean_of[measure] = fmean(value_of_query.values())
    return mean_of


def areas(
    scores: Shaped[np.ndarray, " pair"],
    relevance: Shaped[np.ndarray, " pair"],
) -> tuple[float, float]:
    """AUC and AUPRC (average precision) of scores against relevance.

    Raises ConfigError unless there are relevant and irrelevant pairs.
    """
    from sklearn import metrics  # type: ignore[import-untyped]

    is_relevant = np.asarray(relevance) > 0
    relevant_count = int(is_relevant.sum())
    if relevant_count in (0, len(is_relevant)):
        raise ConfigError(
            f"{relevant_count} of {len(is_relevant)} labelled pairs are positive: "
            "AUC needs both kinds"
        )
    auc = float(metrics.roc_auc_score(is_relevant, scores))
    auprc = float(metrics.average_precision_score(is_relevant, scores))
    return auc, auprc


def measurable(qrels: Judgements) -> Judgements:
    """Keep the queries that have a positive; grades below 0 become 0, judged not relevant."""
    measured: Judgements = {}
    for query, judged in qrels.items():
        if max(judged.values(), default=0) > 0:
            measured[query] = {passage: max(grade, 0) for passage, grade in judged.items()}
    return measured
