"""Tables of results for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from whet.evaluate.slices import QueryRow
from whet.evaluate.verdict import Evaluation
from whet.report.lines import measure_lines
from whet.report.wording import excerpt, rank_change

VERDICT_STYLES = {"better": "green", "worse": "red", "not shown": "yellow"}
NUMBER_COLUMNS = ("BM25", "base", "tuned", "difference", "95 % interval", "p", "won / lost / tied")
MAX_QUERY_LENGTH = 100  # characters


def verdict_text(evaluation: Evaluation) -> Text:
    """The verdict in one sentence, in its colour."""
    return Text(evaluation.summary_sentence, style=VERDICT_STYLES[evaluation.verdict])


def results_table(evaluation: Evaluation) -> Table:
    """One row per measure, values × 100. The row of the verdict's measure is bold."""
    title = f"{evaluation.comparison.queries} test queries, values × 100"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("measure")
    for heading in NUMBER_COLUMNS:
        table.add_column(heading, justify="right")
    for line in measure_lines(evaluation):
        table.add_row(
            line.measure,
            line.bm25,
            line.base,
            line.tuned,
            line.difference,
            line.interval,
            line.p_value,
            line.moved,
            style="bold" if line.measure == evaluation.measure else "",
        )
    return table


def changed_table(rows: Sequence[QueryRow], title: str) -> Table:
    """Queries with the rank of their first relevant passage before and after."""
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("query")
    for row in rows:
        table.add_row(rank_change(row), Text(excerpt(row.text, MAX_QUERY_LENGTH)))
    return table
