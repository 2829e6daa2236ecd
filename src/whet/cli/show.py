"""What the verbs print to stdout: the tables for people, or one JSON object."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from whet.run.folder import Run

if TYPE_CHECKING:
    from whet.stages.audit import Suspect

CHANGED = 3
SUSPECTS = 10


def show_json(value: dict[str, Any]) -> None:
    """One JSON object on one line, last on stdout."""
    Console(soft_wrap=True, highlight=False, markup=False, emoji=False).print(
        json.dumps(value, ensure_ascii=False)
    )


def show_lines(lines: Sequence[str]) -> None:
    """Plain lines as they are."""
    out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for line in lines:
        out.print(line)


def show_verdict(run: Run, changed: bool = False) -> None:
    """The verdict and the before/after table; with `changed`, the queries whose ranking changed most, both ways."""
    from rich.text import Text

    from whet.evaluate.slices import most_changed
    from whet.report.tables import changed_table, results_table, verdict_text
    from whet.run.results import read_evaluation

    out = Console(highlight=False)
    evaluation, rows, _ = read_evaluation(run.path)
    out.print(verdict_text(evaluation))
    out.print(results_table(evaluation))
    if evaluation.lexical_note:
        out.print(Text(evaluation.lexical_note, style="yellow"))
    if changed:
        wins, losses = most_changed(rows, CHANGED)
        out.print(changed_table(wins, f"{len(wins)} queries that gained most"))
        out.print(changed_table(losses, f"{len(losses)} queries that lost most"))


def show_suspects(run: Path, summary: Mapping[str, Any], found: "Sequence[Suspect]") -> None:
    """The most certain suspects, how many there are, and how to go on."""
    out = Console(highlight=False, soft_wrap=True)
    for one in found[:SUSPECTS]:
        out.print(f"{100 * one.probability:.0f} %  {escape(one.query)}")
        out.print(f"      {escape(one.passage[:160])}")
        out.print(f"      [dim]{escape(one.reason)}[/dim]")
    share = f"{100 * summary['share']:.1f} % of {summary['candidates']:,} candidates"
    if not found:
        out.print(
            f"none of {summary['candidates']:,} candidates looks like an answer that nobody marked"
        )
        return
    out.print(
        f"{summary['suspects']:,} may be false negatives, {share}; the likeliest above. Read before you accept."
    )
    path = escape(str(run))
    out.print(
        f"mark     {path}/audit/index.html in a browser, or the column accept of {path}/audit/suspects.csv"
    )
    out.print(f"train    whet tune {path} --labels {path}/audit/suspects.csv")


def show_places(run: Run) -> None:
    """Where the model and the report lie, and what to type next."""
    out = Console(highlight=False, soft_wrap=True)
    path = escape(str(run.path))
    out.print(f'model    {path}/model        SentenceTransformer("{path}/model")')
    out.print(f"report   {path}/report/index.html")
    out.print(f"look     whet compare {path}")
