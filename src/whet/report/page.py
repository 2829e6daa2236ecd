"""One page for the browser: a single HTML file that needs nothing else, no network, no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whet.artifacts import write_text
from whet.evaluate.slices import most_changed
from whet.evaluate.verdict import points, signed
from whet.report import contents, plots
from whet.report.contents import ReportInput
from whet.templates import environment


def write_page(path: Path, report: ReportInput) -> None:
    """Write the report as one HTML file."""
    write_text(path, render_page(report))


def render_page(report: ReportInput) -> str:
    """Render the report as HTML; every text that came from outside is escaped."""
    templates = environment("whet.report", autoescape=True)
    loss_chart, dev_chart = training_charts(report)
    return templates.get_template("page.html.j2").render(
        **template_values(report),
        marks=_interval_marks(report),
        loss_chart=loss_chart,
        dev_chart=dev_chart,
        tradeoff_chart=tradeoff_chart(report),
        difference_chart=plots.difference_chart([row.difference for row in report.rows]),
    )


def template_values(report: ReportInput) -> dict[str, Any]:
    """Gather what both templates show, as text wherever a number is shown."""
    wins, losses = most_changed(report.rows, contents.CHANGED)
    return {
        "report": report,
        "evaluation": report.evaluation,
        "lines": contents.measure_lines(report.evaluation),
        "experts": contents.expert_lines(report),
        "spaces": contents.space_lines(report),
        "teachers": contents.teacher_lines(report),
        "tradeoff": contents.tradeoff_lines(report),
        "refreshes": contents.refresh_lines(report),
        "planned_refreshes": contents.planned_refreshes(report),
        "changed": (("Gained most", "base", wins), ("Lost most", "tuned", losses)),
        "settings": list(contents.settings(report.config)),
        "notes": contents.method_notes(report.evaluation),
        "rank_change": contents.rank_change,
        "excerpt": contents.excerpt,
        "duration": contents.duration,
        "interval": contents.interval,
        "points": points,
        "signed": signed,
    }


def training_charts(report: ReportInput) -> tuple[Markup, Markup]:
    """Loss and its parts over steps, and the dev measure over steps; empty where nothing was logged."""
    parts = {name: _series(report.training, name) for name in contents.LOSS_PARTS}
    parts = {name: series for name, series in parts.items() if any(value for _, value in series)}
    if len(parts) == 2:  # one part is all of it
        parts = {"loss": parts["loss"]}
    dev = [(step, 100 * value) for step, value in _series(report.training, "dev")]
    dev = dev if len(dev) > 1 else []  # base alone: training was cross-validated
    measure = report.evaluation.measure
    return plots.line_chart(parts, "step", "Training loss"), plots.line_chart(
        {measure: dev}, "step", f"{measure} on dev"
    )


def tradeoff_chart(report: ReportInput) -> Markup:
    """What dev gains and the guard loses on the way from base to tuned weights; empty where there is no way between."""
    gains = {
        name: [
            (100 * share, 100 * (value - base))
            for point in report.tradeoff
            if (value := point[key]) is not None and (share := point["share"]) is not None
        ]
        for key, name in (("dev", report.judge), ("guard", "general set"))
        if report.tradeoff and (base := report.tradeoff[0][key]) is not None
    }
    title = f"Change in {report.evaluation.measure}"
    return (
        plots.line_chart(gains, "% of the way from base", title)
        if report.share is not None
        else Markup()
    )


def _series(training: Sequence[Mapping[str, float | None]], name: str) -> list[tuple[float, float]]:
    return [
        (step, value)
        for row in training
        if (value := row.get(name)) is not None and (step := row.get("step")) is not None
    ]


def _interval_marks(report: ReportInput) -> dict[str, Markup]:
    comparisons = report.evaluation.comparisons
    extent = max(abs(end) for found in comparisons.values() for end in found.interval) or 1.0
    return {measure: plots.interval_mark(found, extent) for measure, found in comparisons.items()}
