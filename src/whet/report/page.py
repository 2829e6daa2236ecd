"""One page for the browser: a single HTML file that needs no other file, no network, no script."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from whet.evaluate.verdict import points, signed
from whet.files import write_text
from whet.report import lines, plots, wording
from whet.report.contents import LOSS_PARTS, ReportInput
from whet.templates import environment

if TYPE_CHECKING:
    from jinja2 import Template


def write_page(path: Path, report: ReportInput) -> None:
    """Write the report as one HTML file."""
    write_text(path, render_page(report))


def render_page(report: ReportInput) -> str:
    """Render the report as HTML; every text that came from outside is escaped."""
    templates = environment("whet.report", autoescape=True)
    differences = [row.difference for row in report.rows]
    return render(
        templates.get_template("page.html.j2"),
        report,
        marks=_interval_marks(report),
        loss_chart=loss_chart(report),
        dev_chart=dev_chart(report),
        tradeoff_chart=tradeoff_chart(report),
        difference_chart=plots.difference_chart(differences),
    )


def render(template: "Template", report: ReportInput, **more: Any) -> str:
    """Render a template with what page and Markdown file both show, and `more` values.

    Wherever a number is shown, the template gets text or a function that gives text.
    """
    return template.render(
        report=report,
        evaluation=report.evaluation,
        lines=lines.measure_lines(report.evaluation),
        experts=lines.expert_lines(report),
        spaces=lines.space_lines(report),
        teachers=lines.teacher_lines(report),
        tradeoff=lines.tradeoff_lines(report),
        refreshes=lines.refresh_lines(report),
        planned_refreshes=lines.planned_refreshes(report),
        changed=lines.changed_queries(report.rows),
        settings=list(wording.settings(report.config)),
        notes=lines.method_notes(report.evaluation),
        judged_on=wording.judged_on(report.judge),
        rank_change=wording.rank_change,
        excerpt=wording.excerpt,
        duration=wording.duration,
        interval=wording.interval,
        points=points,
        signed=signed,
        **more,
    )


def loss_chart(report: ReportInput) -> Markup:
    """The training loss and its parts over steps; empty where nothing was logged."""
    series = {}
    for name in LOSS_PARTS:
        logged = [point for point in report.training if name in point.losses]
        curve = [(point.step, point.losses[name]) for point in logged]
        if any(value for _, value in curve):
            series[name] = curve
    # With a single part the two curves are the same.
    if len(series) == 2:
        series = {"loss": series["loss"]}
    return plots.line_chart(series, "step", "Training loss")


def dev_chart(report: ReportInput) -> Markup:
    """The dev score × 100 over steps; empty where it was not measured during training."""
    scored = [(point.step, point.dev) for point in report.training]
    curve = [(step, 100 * dev) for step, dev in scored if dev is not None]
    # With cross-validation only the base model, step 0, has a score.
    if len(curve) == 1:
        curve = []
    measure = report.evaluation.measure
    return plots.line_chart({measure: curve}, "step", f"{measure} on dev")


def tradeoff_chart(report: ReportInput) -> Markup:
    """Changes × 100 from the base model, on dev and on the forgetting check.

    Empty where weights were not interpolated.
    """
    if report.share is None or not report.tradeoff:
        return Markup()
    base = report.tradeoff[0]
    dev_changes = []
    guard_changes = []
    for point in report.tradeoff:
        dev_change = 100 * (point.dev - base.dev)
        dev_changes.append((point.share, dev_change))
        if base.guard is not None and point.guard is not None:
            guard_change = 100 * (point.guard - base.guard)
            guard_changes.append((point.share, guard_change))
    series = {report.judge: dev_changes, "forgetting check": guard_changes}
    title = f"Change in {report.evaluation.measure}"
    return plots.line_chart(series, "interpolation weight", title)


def _interval_marks(report: ReportInput) -> dict[str, Markup]:
    """Measure → the mark of its interval, all on one scale."""
    comparisons = report.evaluation.comparisons
    extent = 0.0
    for comparison in comparisons.values():
        low, high = comparison.interval
        extent = max(extent, abs(low), abs(high))
    marks = {}
    for measure, comparison in comparisons.items():
        marks[measure] = plots.interval_mark(comparison, extent or 1.0)
    return marks
