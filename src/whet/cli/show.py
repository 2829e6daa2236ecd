"""What the verbs print to stdout: tables and lines for people, or one JSON object."""

import json as json_format
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from whet.files import read_json

if TYPE_CHECKING:
    from whet.teach.audit import AuditSummary, Suspect

CHANGED_QUERIES = 3  # of each kind
SHOWN_SUSPECTS = 10
SUSPECT_LENGTH = 160  # characters of a passage


def stdout_console() -> Console:
    """A console on stdout that prints texts as they are, in whole lines where it is no terminal."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def show_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    show_lines([json_format.dumps(value, ensure_ascii=False)])


def show_lines(lines: Sequence[str]) -> None:
    """Print lines whole, whatever the width of the terminal."""
    console = stdout_console()
    for line in lines:
        console.print(line, soft_wrap=True)


def show_findings(lines: Sequence[str]) -> None:
    """Print the lines of a check: on a terminal wrapped between words, warnings in colour."""
    console = stdout_console()
    for line in lines:
        style = "yellow" if line.startswith("warning: ") else ""
        console.print(Text(line, style=style))


def show_stage(run: Path, stage: str, *, json: bool, summary: str = "summary.json") -> None:
    """Print where a stage's files are, or its summary as JSON."""
    folder = run / stage
    if json:
        place = {"stage": stage, "folder": str(folder)}
        show_json(place | read_json(folder / summary))
    else:
        show_lines(sorted(map(str, folder.glob("*.json*"))))


def show_verdict(run: Path, *, changed: bool = False) -> None:
    """Print the verdict and the table of scores; with `changed`, also the largest changes."""
    from whet.cli.tables import changed_table, results_table, verdict_text
    from whet.evaluate.slices import most_changed
    from whet.run.results import read_evaluation

    console = Console(highlight=False)
    evaluation, rows, _ = read_evaluation(run)
    console.print(verdict_text(evaluation))
    console.print(results_table(evaluation))
    if evaluation.lexical_note:
        console.print(Text(evaluation.lexical_note, style="yellow"))
    if changed:
        wins, losses = most_changed(rows, CHANGED_QUERIES)
        console.print(changed_table(wins, f"{len(wins)} queries that gained most"))
        console.print(changed_table(losses, f"{len(losses)} queries that lost most"))


def show_suspects(run: Path, summary: "AuditSummary", suspects: "Sequence[Suspect]") -> None:
    """Print the most probable suspects, how many there are, and what to do next."""
    console = stdout_console()
    if not suspects:
        console.print(f"none of {summary.candidates:,} candidates looks like an unmarked answer")
        return
    for suspect in suspects[:SHOWN_SUSPECTS]:
        console.print(f"{100 * suspect.probability:.0f} %  {suspect.query}")
        console.print(f"      {suspect.passage[:SUSPECT_LENGTH]}")
        console.print(Text(f"      {suspect.reason}", style="dim"))
    percent = 100 * summary.share
    console.print(
        f"{summary.suspects:,} may be false negatives, {percent:.1f} % of {summary.candidates:,} "
        "candidates; the most probable are above. Read before you accept."
    )
    table = f"{run}/audit/suspects.csv"
    console.print(f"mark     {run}/audit/index.html in a browser, or the column accept of {table}")
    console.print(f"train    whet tune {run} --labels {table}")


def show_places(run: Path) -> None:
    """Print where model and report are, and what to type next."""
    show_lines(
        [
            f'model    {run}/model        SentenceTransformer("{run}/model")',
            f"report   {run}/report/index.html",
            f"look     whet compare {run}",
        ]
    )
