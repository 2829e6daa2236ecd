import io

import numpy as np
from rich.console import Console

from whet.cli.tables import changed_table, results_table, verdict_text
from whet.evaluate.slices import query_rows
from whet.evaluate.verdict import assess
from whet.records import Passage

QRELS = {f"q{n}": {"yes": 1} for n in range(10)}
BASE = {query: {"no": 0.9, "yes": 0.8} for query in QRELS}
TUNED = {query: {"yes": 0.9, "no": 0.8} for query in QRELS}


def shown(*parts):
    console = Console(file=io.StringIO(), width=110)
    for part in parts:
        console.print(part)
    return console.file.getvalue()


def test_the_results_table_shows_every_measure_times_100():
    evaluation = assess(QRELS, BASE, TUNED, BASE, np.random.default_rng(0))
    lines = shown(verdict_text(evaluation), results_table(evaluation)).splitlines()
    assert lines[0].startswith("Better: nDCG@10 63.1 → 100.0 (+36.9")
    assert (
        " ".join(lines[2].split())
        == "measure BM25 base tuned difference 95 % interval p won / lost / tied"
    )
    assert [line.split()[0] for line in lines[3:]] == [
        "nDCG@5",
        "nDCG@10",
        "RR@10",
        "AP@10",
        "R@100",
    ]
    assert (
        " ".join(lines[5].split()) == "RR@10 50.0 50.0 100.0 +50.0 +50.0 to +50.0 0.002 10 / 0 / 0"
    )


def test_changed_queries_show_their_ranks_and_no_markup_of_their_own():
    queries = dict.fromkeys(QRELS, "find [bold]files[/bold] [/]")
    rows = query_rows(queries, {"yes": Passage("yes", "text")}, QRELS, BASE, {**TUNED, "q1": {}})
    text = shown(changed_table(rows[:2], "Gained most"))
    assert "Gained most" in text
    assert "2 → 1  find [bold]files[/bold] [/]" in text
    assert "2 → not found" in text
