"""The lines of a report's tables, as text; page, Markdown file and terminal show the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from whet.evaluate.significance import RESAMPLES
from whet.evaluate.slices import QueryRow, most_changed
from whet.evaluate.verdict import ALPHA, Evaluation, points, signed
from whet.records import LayerUse
from whet.report.contents import ReportInput, TrainingPoint
from whet.report.wording import NO_VALUE, interval, percent
from whet.train.refresh.round_log import RoundLog

MAX_CHANGED_QUERIES = 5  # that gained most, and as many that lost most


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One measure before and after; values × 100, `moved` counts queries won, lost and tied."""

    measure: str
    bm25: str
    base: str
    tuned: str
    difference: str
    interval: str
    p_value: str
    moved: str


def measure_lines(evaluation: Evaluation) -> list[MeasureLine]:
    """One line per measure."""
    lines = []
    for measure, comparison in evaluation.comparisons.items():
        p_value = comparison.p_value
        line = MeasureLine(
            measure=measure,
            bm25=points(evaluation.bm25[measure]),
            base=points(evaluation.base[measure]),
            tuned=points(evaluation.tuned[measure]),
            difference=signed(comparison.difference),
            interval=interval(comparison.interval),
            p_value="<0.001" if p_value < 0.001 else f"{p_value:.3f}",
            moved=f"{comparison.wins} / {comparison.losses} / {comparison.ties}",
        )
        lines.append(line)
    return lines


class ChangedQueries(NamedTuple):
    """Queries whose ranking changed most in one direction.

    `model` is the model that ranked them worse; its first passage is shown.
    """

    title: str
    model: Literal["base", "tuned"]
    rows: Sequence[QueryRow]


def changed_queries(rows: Sequence[QueryRow]) -> list[ChangedQueries]:
    """The queries that gained most, and those that lost most."""
    gained, lost = most_changed(rows, MAX_CHANGED_QUERIES)
    return [
        ChangedQueries("Gained most", "base", gained),
        ChangedQueries("Lost most", "tuned", lost),
    ]


@dataclass(frozen=True, slots=True)
class ExpertLine:
    """One expert: its shares of the layer's tokens, the gate's entropy, its most typical tokens.

    `first` and `last` are shares at the first and the last logged step, `test` is on test passages.
    """

    layer: str
    expert: str
    first: str
    last: str
    test: str
    entropy: str
    tokens: str


def expert_lines(report: ReportInput) -> list[ExpertLine]:
    """One line per expert of each layer; none where the model has no experts."""
    logged = [point for point in report.training if point.expert_shares]
    lines = []
    for layer in report.experts:
        experts = range(len(layer.share))
        lines += [_expert_line(layer, expert, logged) for expert in experts]
    return lines


def _expert_line(layer: LayerUse, expert: int, logged: Sequence[TrainingPoint]) -> ExpertLine:
    first = None
    last = None
    if logged:
        key = f"{layer.layer}/{expert}"
        first = logged[0].expert_shares.get(key)
        last = logged[-1].expert_shares.get(key)
    return ExpertLine(
        layer=layer.layer,
        expert=str(expert),
        first=percent(first),
        last=percent(last),
        test=percent(layer.share[expert]),
        entropy=f"{layer.entropy:.2f}",
        tokens=" ".join(layer.tokens[expert]),
    )


SPACE_MEASURES = {
    "auc": "AUC, all pairs of test queries and answers; higher is better",
    "auprc": "AUPRC, the same pairs; higher is better",
    "anisotropy": "anisotropy, mean cosine of random passages; near 1 all lie in one cone",
    "alignment": "alignment, mean squared distance of queries to answers; lower is better",
    "uniformity": "uniformity, of random passages; lower is more even",
}
"""Fields of `whet.evaluate.space.Space`, as they are named for a reader."""


class SpaceLine(NamedTuple):
    """One measure of the embedding space, before and after."""

    name: str
    base: str
    tuned: str


def space_lines(report: ReportInput) -> list[SpaceLine]:
    """One line per measure of the embedding space; none where it was not measured."""
    if not report.spaces:
        return []
    base = report.spaces["base"]
    tuned = report.spaces["tuned"]
    lines = []
    for field, name in SPACE_MEASURES.items():
        before = getattr(base, field)
        after = getattr(tuned, field)
        lines.append(SpaceLine(name, f"{before:.3f}", f"{after:.3f}"))
    return lines


@dataclass(frozen=True, slots=True)
class TeacherLine:
    """One teacher: its quality on labelled pairs, and whether its scores went into the labels.

    `agreement` are its rank correlations with all teachers, in the order of the lines.
    """

    name: str
    auc: str
    auprc: str
    ndcg: str
    taught: str
    agreement: tuple[str, ...]


def teacher_lines(report: ReportInput) -> list[TeacherLine]:
    """One line per teacher; none where there were no teachers."""
    summary = report.teaching
    if summary is None:
        return []
    lines = []
    for row, (name, quality) in enumerate(summary.teachers.items()):
        line = TeacherLine(
            name=name,
            auc=f"{quality.auc:.3f}",
            auprc=f"{quality.auprc:.3f}",
            ndcg=points(quality.ndcg),
            taught="no" if name in summary.left_out else "yes",
            agreement=tuple(_correlation(value) for value in summary.agreement[row]),
        )
        lines.append(line)
    return lines


def _correlation(value: float | None) -> str:
    # JSON has no NaN, so a file may hold null. A number is NaN where it differs from itself.
    if value is None or value != value:
        return NO_VALUE
    return f"{value:.2f}"


class TradeoffLine(NamedTuple):
    """The scores at one interpolation weight, and "kept" where this is the model that was kept."""

    share: str
    dev: str
    guard: str
    kept: str


def tradeoff_lines(report: ReportInput) -> list[TradeoffLine]:
    """One line per interpolation weight.

    None where weights were not interpolated and nothing was scored beside dev.
    """
    if not report.tradeoff:
        return []
    base = report.tradeoff[0]
    if report.share is None and base.guard is None:
        return []
    kept_share = report.share
    if kept_share is None:
        kept_share = report.tradeoff[-1].share
    lines = []
    for point in report.tradeoff:
        line = TradeoffLine(
            share=f"{point.share:.2f}",
            dev=points(point.dev),
            guard=_optional_points(point.guard),
            kept="kept" if point.share == kept_share else "",
        )
        lines.append(line)
    return lines


def _optional_points(value: float | None) -> str:
    return NO_VALUE if value is None else points(value)


@dataclass(frozen=True, slots=True)
class RefreshLine:
    """One round of re-mining."""

    step: str
    used: str
    searched: str
    recall: str
    new: str
    score: str
    suspected: str
    dev: str
    seconds: str


def refresh_lines(report: ReportInput) -> list[RefreshLine]:
    """One line per round of re-mining."""
    return [_refresh_line(log) for log in report.refreshes]


def _refresh_line(log: RoundLog) -> RefreshLine:
    score = log.mean_negative_score
    return RefreshLine(
        step=f"{log.mined_at:,}",
        used=f"{log.used_from:,}",
        searched=f"{log.encoded:,} ({log.cost})",
        recall=percent(log.recall),
        new=percent(1 - log.overlap),
        score=NO_VALUE if score is None else f"{score:.3f}",
        suspected=f"{100 * log.suspected_share:.1f} %",
        dev=_optional_points(log.dev),
        seconds=f"{log.seconds:.0f} s",
    )


def planned_refreshes(report: ReportInput) -> str:
    """The steps at which re-mining was planned; fewer rounds may have been needed."""
    if not report.refreshes:
        return ""
    last_round = report.refreshes[-1]
    return ", ".join(f"{step:,}" for step in last_round.boundaries)


def method_notes(evaluation: Evaluation) -> list[str]:
    """How the numbers were made, and what they do not show."""
    queries = evaluation.comparison.queries
    return [
        f"{queries} test queries that have a relevant passage. Values are × 100 and means over "
        "queries. A query without results counts as 0.",
        "Measures come from ir-measures (trec_eval). nDCG uses the grade as gain. RR, AP and R "
        "count every grade of 1 or more as relevant. Passages with equal scores stay in the order "
        "of the ranking.",
        f"p: two-sided paired randomisation test, {RESAMPLES:,} resamples. Interval: 95 %, "
        "percentile bootstrap over queries. Both treat queries as independent. With many queries "
        "about one passage, both look more certain than they are.",
        f"The verdict is about {evaluation.measure} alone, which was chosen beforehand. It is "
        f"better or worse only when p < {ALPHA} and the interval lies on one side of 0. The other "
        "measures and the kinds of queries are for orientation: nothing corrects for their number.",
    ]
