"""The bars that no linter holds: how long a file and a function may be, and what a file may not be called."""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "scripts", "benchmarks")
FILE_LINES = 300
FUNCTION_LINES = 60
MEDIAN_LINES = 12
FORBIDDEN = {"utils", "util", "common", "helpers", "misc", "core", "base"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(folder: str) -> list[Path]:
    """Every Python file below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length in lines (docstring included) of each function in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, Function):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def breaches(path: Path) -> Iterator[str]:
    """Say what in one file is over a bar."""
    where = path.relative_to(ROOT)
    if path.stem in FORBIDDEN:
        yield f"{where}: a file named {path.stem} says nothing; name it after what it does"
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > FILE_LINES:
        yield f"{where}: {lines} lines, at most {FILE_LINES}; split it"
    for name, line, length in functions(path):
        if length > FUNCTION_LINES:
            yield f"{where}:{line}: {name} has {length} lines, at most {FUNCTION_LINES}; split it"


def main() -> int:
    """Print every breach and return how the process shall exit."""
    found = [
        breach for folder in FOLDERS for path in python_files(folder) for breach in breaches(path)
    ]
    median = statistics.median(
        length for path in python_files("src") for *_, length in functions(path)
    )
    if median > MEDIAN_LINES:
        found.append(f"src: the median function has {median:g} lines, at most {MEDIAN_LINES}")
    for breach in found:
        print(breach)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
