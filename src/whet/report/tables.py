"""Tables for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from whet.evaluate.slices import QueryRow
from whet.evaluate.verdict import Evaluation
from whet.report.contents import excerpt, measure_lines, rank_change

_STYLES = {"better": "green", "worse": "red", "not shown": "yellow"}


def verdict_text(evaluation: Evaluation) -> Text:
    """Give the verdict in one sentence, coloured by what it says."""
    return Text(evaluation.summary_sentence, style=_STYLES[evaluation.verdict])


def results_table(evaluation: Evaluation) -> Table:
    """Before and after, one measure a row, values × 100; the verdict's measure is bold."""
    table = Table(
        title=f"{evaluation.comparison.queries} test queries, values × 100",
        title_justify="left",
        box=None,
    )
    table.add_column("measure")
    for heading in ("BM25", "base", "tuned", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="right")
    table.add_column("won / lost / tied", justify="right")
    for line in measure_lines(evaluation):
        values = (
            line.bm25,
            line.base,
            line.tuned,
            line.difference,
            line.interval,
            line.p_value,
            line.moved,
        )
        table.add_row(
            line.measure, *values, style="bold" if line.measure == evaluation.measure else ""
        )
    return table


def changed_table(rows: Sequence[QueryRow], title: str) -> Table:
    """List queries whose ranking changed, with the rank of their first relevant passage before and after."""
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("query")
    for row in rows:
        table.add_row(rank_change(row), Text(excerpt(row.text, 100)))
    return table
