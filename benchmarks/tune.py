"""`whet tune DATA` with default settings on every set, as a user types it; one table of results.

    python benchmarks/tune.py --sets eda_tiny integreat_en nl2bash_a medquad_mini scifact medquad
    python benchmarks/tune.py --sets --add medquad.json

The second call adds the object that a run elsewhere printed. Time is the sum over stages, memory
the peak of the process.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ladder import machine

from whet.files import read_json, write_json

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULT = Path(__file__).parent / "results" / "tune.json"
SETS = ["eda_tiny", "integreat_en", "nl2bash_a", "medquad_mini", "scifact", "medquad"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--runs", type=Path, default=Path("runs/tune"))
    parser.add_argument(
        "--add", nargs="*", type=Path, default=[], help="files NAME.json with the object of a run"
    )
    options = parser.parse_args()
    rows = read_json(RESULT)["sets"] if RESULT.exists() else {}
    for file in options.add:
        rows[file.stem] = read_json(file) | {"machine": machine()}
    for name in options.sets:
        rows[name] = tune(name, options.runs / name) | {"machine": machine()}
        write_result(rows)
    write_result(rows)
    print("\n".join(table(rows)))


def write_result(rows: dict[str, Any]) -> None:
    write_json(RESULT, {"about": __doc__, "sets": rows, "table": table(rows)})


def tune(name: str, out: Path) -> dict[str, Any]:
    """The object that the command prints."""
    command = [sys.executable, "-m", "whet", "tune", str(DATA / name), "--out", str(out), "--json"]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(process.stdout)
    return row


def table(rows: dict[str, Any]) -> list[str]:
    """One line a set."""
    lines = [
        "| set | test queries | BM25 | base | tuned | difference | 95 % interval | p | verdict "
        "| time | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for name, row in rows.items():
        cells = [name, str(row["queries"])]
        for model in ("bm25", "base", "tuned"):
            score = row[model][row["measure"]]
            cells.append(f"{100 * score:.1f}")
        cells.append(f"{100 * row['difference']:+.1f}")
        low, high = row["interval"]
        cells.append(f"{100 * low:+.1f} to {100 * high:+.1f}")
        p_value = row["p_value"]
        cells.append("<0.001" if p_value < 0.001 else f"{p_value:.3f}")
        cells.append(row["verdict"])
        minutes = sum(row["seconds"].values()) / 60
        cells.append(f"{minutes:.1f} min")
        cells.append(str(row["peak_memory_mb"]))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
