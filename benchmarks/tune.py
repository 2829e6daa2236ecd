"""`whet tune DATA` with default settings on every set, as a user types it; one table of what came out.

    python benchmarks/tune.py --sets eda_tiny integreat_en nl2bash_a medquad_mini scifact medquad
    python benchmarks/tune.py --sets --found medquad.json      add the object that a run on its own printed

Seconds are the sum of the stages' own times, memory is the process's peak.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ladder import machine

from whet.artifacts import read_json, write_json

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
        "--found", nargs="*", type=Path, default=[], help="files NAME.json with the object of a run"
    )
    wanted = parser.parse_args()
    rows = read_json(RESULT)["sets"] if RESULT.exists() else {}
    for file in wanted.found:
        rows[file.stem] = read_json(file) | {"machine": machine()}
    for name in wanted.sets:
        rows[name] = tune(name, wanted.runs / name) | {"machine": machine()}
        write_json(RESULT, {"about": __doc__, "sets": rows, "table": table(rows)})
    write_json(RESULT, {"about": __doc__, "sets": rows, "table": table(rows)})
    print("\n".join(table(rows)))


def tune(name: str, out: Path) -> dict[str, Any]:
    """The object that the command prints."""
    verb = [sys.executable, "-m", "whet", "tune", str(DATA / name), "--out", str(out), "--json"]
    found: dict[str, Any] = json.loads(
        subprocess.run(verb, check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    return found


def table(rows: dict[str, Any]) -> list[str]:
    """One line a set."""
    lines = [
        "| set | test queries | BM25 | base | tuned | difference | 95 % interval | p | verdict | time | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for name, row in rows.items():
        bm25, base, tuned = (100 * row[side][row["measure"]] for side in ("bm25", "base", "tuned"))
        low, high = (100 * end for end in row["interval"])
        p_value = "<0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        lines.append(
            f"| {name} | {row['queries']} | {bm25:.1f} | {base:.1f} | {tuned:.1f} | {100 * row['difference']:+.1f} | "
            f"{low:+.1f} to {high:+.1f} | {p_value} | {row['verdict']} | "
            f"{sum(row['seconds'].values()) / 60:.1f} min | {row['peak_memory_mb']} |"
        )
    return lines


if __name__ == "__main__":
    main()
