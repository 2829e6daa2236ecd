"""What a report is made from, and the few lines of text that the terminal, the page and the Markdown file share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whet.evaluate.significance import RESAMPLES
from whet.evaluate.slices import QueryRow, Slice
from whet.evaluate.verdict import ALPHA, Evaluation, points, signed
from whet.records import LayerUse

LOSS_PARTS = ("loss", "contrastive", "penalty", "soft", "balance", "z")
CHANGED = 5  # queries that gained most, and as many that lost most
EXCERPT = 240  # characters of a passage that a report shows


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report tells.

    `passages` maps passage ids to texts and must hold the ids named in `rows`. `training` holds one mapping per logged
    step with `step` and any of LOSS_PARTS, `dev` (the verdict's measure on dev queries, 0 to 1),
    and `share/LAYER/EXPERT` where the model has experts; `experts` then tells of their use on test passages.
    `spaces` describes the embedding spaces of `base` and `tuned` (`whet.evaluate.space.Space`, as mappings).
    `teaching` is the teach stage's summary. `tradeoff` holds points from base to tuned weights: `share`, `dev`, and
    `guard` where a general set was scored; `share` is the one that was kept, None where there was no choice.
    `account` are sentences on what was done and why; `judge` is what `dev` scores come from.
    `mining` counts passages by what became of them, `refreshes` are the summaries of rounds that were mined anew,
    `warnings` are the data check's lines, `seconds` is per stage.
    """

    data: str
    model: str
    evaluation: Evaluation
    rows: Sequence[QueryRow]
    passages: Mapping[str, str]
    slices: Sequence[Slice] = ()
    training: Sequence[Mapping[str, float | None]] = ()
    mining: Mapping[str, int] = field(default_factory=dict)
    refreshes: Sequence[Mapping[str, Any]] = ()
    experts: Sequence[LayerUse] = ()
    spaces: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    teaching: Mapping[str, Any] = field(default_factory=dict)
    tradeoff: Sequence[Mapping[str, float | None]] = ()
    share: float | None = None
    account: Sequence[str] = ()
    judge: str = "dev"
    warnings: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One line of the before/after table, as text."""

    measure: str
    bm25: str
    base: str
    tuned: str
    difference: str
    interval: str
    p_value: str
    moved: str


def measure_lines(evaluation: Evaluation) -> list[MeasureLine]:
    """Lay out every measure; values × 100."""
    return [
        MeasureLine(
            measure=measure,
            bm25=points(evaluation.bm25[measure]),
            base=points(evaluation.base[measure]),
            tuned=points(evaluation.tuned[measure]),
            difference=signed(found.difference),
            interval=interval(found.interval),
            p_value="<0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}",
            moved=f"{found.wins} / {found.losses} / {found.ties}",
        )
        for measure, found in evaluation.comparisons.items()
    ]


@dataclass(frozen=True, slots=True)
class ExpertLine:
    """One expert's line of the table of use, as text; shares in per cent of the layer's tokens."""

    layer: str
    expert: str
    first: str
    last: str
    test: str
    entropy: str
    tokens: str


def expert_lines(report: ReportInput) -> list[ExpertLine]:
    """Lay out the use of every expert: at the first and at the last logged step of training, and on test passages."""
    logged = [row for row in report.training if any(name.startswith("share/") for name in row)]
    return [
        ExpertLine(
            layer=layer.layer,
            expert=str(expert),
            first=_percent(logged[0].get(f"share/{layer.layer}/{expert}") if logged else None),
            last=_percent(logged[-1].get(f"share/{layer.layer}/{expert}") if logged else None),
            test=_percent(share),
            entropy=f"{layer.entropy:.2f}",
            tokens=" ".join(tokens),
        )
        for layer in report.experts
        for expert, (share, tokens) in enumerate(zip(layer.share, layer.tokens, strict=True))
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def interval(ends: tuple[float, float] | None) -> str:
    """Show an interval of differences × 100, a dash where there is none.

    >>> interval((0.012, 0.034))
    '+1.2 to +3.4'
    """
    return f"{signed(ends[0])} to {signed(ends[1])}" if ends else "–"


def rank_change(row: QueryRow) -> str:
    """Say where the first relevant passage stood before and after.

    A rank of None means that no relevant passage was among the results.
    """
    before, after = (
        str(rank) if rank is not None else "not found" for rank in (row.base_rank, row.tuned_rank)
    )
    return f"{before} → {after}"


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """Cut a text at a word, on one line, marked by an ellipsis where something is missing.

    >>> excerpt("one two  three", limit=9)
    'one two …'
    """
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    cut = flat[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + " …"


def duration(seconds: float) -> str:
    """Show a time span.

    >>> duration(7.34), duration(95)
    ('7.3 s', '1 min 35 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested settings to dotted names and text.

    >>> list(settings({"train": {"epochs": 2}, "seed": 7}))
    [('train.epochs', '2'), ('seed', '7')]
    """
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def method_notes(evaluation: Evaluation) -> list[str]:
    """Say how the numbers were made, so that they can be trusted no further than they reach."""
    queries = evaluation.comparison.queries
    return [
        f"{queries} test queries that have a relevant passage. Values are × 100, means over queries; a query without "
        "results counts as 0.",
        "Measures come from ir-measures (trec_eval): nDCG uses the grade itself as gain; RR, AP and R count every "
        "grade of 1 or more as relevant. The ranking's own order decides between equal scores.",
        f"p: two-sided paired randomisation test, {RESAMPLES:,} resamples. Interval: 95 %, percentile bootstrap over "
        "queries. Both take queries as independent; many queries about one passage make them look surer than they are.",
        f"The verdict is about {evaluation.measure} alone, chosen beforehand: better or worse only when p < {ALPHA} "
        "and the interval lies on one side of 0. Other measures and the slices are for looking; nothing corrects for "
        "their number.",
    ]


SPACE = {
    "auc": "AUC, all pairs of test queries and answers; higher is better",
    "auprc": "AUPRC, the same pairs; higher is better",
    "anisotropy": "anisotropy, mean cosine of random passages; near 1 all lie in one cone",
    "alignment": "alignment, mean squared distance of queries to answers; lower is better",
    "uniformity": "uniformity, of random passages; lower is more even",
}


def space_lines(report: ReportInput) -> list[tuple[str, str, str]]:
    """Name, base and tuned of every measure of the embedding space, as text; none where it was not measured."""
    if not report.spaces:
        return []
    base, tuned = report.spaces["base"], report.spaces["tuned"]
    return [(name, f"{base[key]:.3f}", f"{tuned[key]:.3f}") for key, name in SPACE.items()]


@dataclass(frozen=True, slots=True)
class TeacherLine:
    """One teacher's line, as text; `agreement` are its rank correlations with all teachers, itself included."""

    name: str
    auc: str
    auprc: str
    ndcg: str
    taught: str
    agreement: tuple[str, ...]


def teacher_lines(report: ReportInput) -> list[TeacherLine]:
    """Lay out who taught, how good each is on labelled pairs, and how far they agree; none where nobody taught."""
    if not report.teaching:
        return []
    return [
        TeacherLine(
            name=name,
            auc=f"{found['auc']:.3f}",
            auprc=f"{found['auprc']:.3f}",
            ndcg=points(found["ndcg"]),
            taught="no" if name in report.teaching["left_out"] else "yes",
            agreement=tuple(
                "–" if one is None or one != one else f"{one:.2f}" for one in agreement
            ),
        )
        for (name, found), agreement in zip(
            report.teaching["teachers"].items(), report.teaching["agreement"], strict=True
        )
    ]


def tradeoff_lines(report: ReportInput) -> list[tuple[str, str, str, str]]:
    """Share of the way, dev, guard, and whether it was kept, as text; none without a guard or a choice."""
    if not report.tradeoff or (report.share is None and report.tradeoff[0]["guard"] is None):
        return []
    kept = report.tradeoff[-1]["share"] if report.share is None else report.share
    return [
        (
            f"{point['share']:.0%}",
            "–" if point["dev"] is None else points(point["dev"]),
            "–" if point["guard"] is None else points(point["guard"]),
            "kept" if point["share"] == kept else "",
        )
        for point in report.tradeoff
    ]


@dataclass(frozen=True, slots=True)
class RefreshLine:
    """One line of the refresh log, as text."""

    step: str
    used: str
    searched: str
    recall: str
    new: str
    score: str
    suspected: str
    dev: str
    seconds: str


def planned_refreshes(report: ReportInput) -> str:
    """The steps after which negatives were to be mined anew; there may be fewer lines (`whet.train.refresh.callback`)."""
    return (
        ", ".join(f"{step:,}" for step in report.refreshes[-1]["boundaries"])
        if report.refreshes
        else ""
    )


def refresh_lines(report: ReportInput) -> list[RefreshLine]:
    """Lay out every refresh of the negatives; none where they stayed as they were mined."""
    return [
        RefreshLine(
            step=f"{log['mined_at']:,}",
            used=f"{log['used_from']:,}",
            searched=f"{log['encoded']:,} ({log['cost']})",
            recall=_percent(log["recall"]),
            new=_percent(1 - log["overlap"]),
            score="–"
            if log["mean_negative_score"] is None
            else f"{log['mean_negative_score']:.3f}",
            suspected=f"{100 * log['suspected_share']:.1f} %",
            dev="–" if log["dev"] is None else points(log["dev"]),
            seconds=f"{log['seconds']:.0f} s",
        )
        for log in report.refreshes
    ]
