"""What a notebook shows of a run: the verdict, and the table before and after."""

from html import escape
from pathlib import Path

from whet.report.lines import measure_lines
from whet.run.results import read_evaluation

HEADINGS = ("measure", "BM25", "base", "tuned", "difference", "95 % interval", "p")


def run_as_html(path: Path) -> str:
    """HTML of a run's result; of a run without a result, what to call."""
    if not (path / "evaluate" / "evaluation.json").exists():
        return f"<p>{escape(str(path))}: no result yet. <code>whet tune</code> makes one.</p>"
    evaluation, _, _ = read_evaluation(path)
    header = _row("th", HEADINGS)
    rows = [
        _row(
            "td",
            (
                line.measure,
                line.bm25,
                line.base,
                line.tuned,
                line.difference,
                line.interval,
                line.p_value,
            ),
        )
        for line in measure_lines(evaluation)
    ]
    return (
        f"<p><b>{escape(evaluation.summary_sentence)}</b></p>"
        f"<table>{header}{''.join(rows)}</table>"
        f"<p>{escape(str(path))}: values × 100</p>"
    )


def _row(tag: str, cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
