"""The bars that no linter holds: how long and how dense code may be, and how files are named.

    python scripts/bars.py                       every breach; the exit status is 1 if there is one
    python scripts/bars.py --only PATH...        the breaches and the density of these files only
    python scripts/bars.py --table               the density of each file of the package
    python scripts/bars.py --table --only PATH   the density of each of these files

Density is expression nodes per code line. An expression node is every `ast.expr`: also names,
constants, docstrings and annotations. A code line is a line that is not blank, not in a docstring
and not only a comment. `structure.py` measures by the same code.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "whet"
FOLDERS = ("src", "tests", "scripts", "benchmarks")

FILE_LINES = 400
FUNCTION_LINES = 60
LINE_LENGTH = 100
MEAN_DENSITY = 4.0
FILE_DENSITY = 5.5
FORBIDDEN = {"utils", "util", "common", "helpers", "misc", "core", "base"}

URL = re.compile(r"https?://\S+")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Source:
    """One Python file that was read and parsed."""

    path: Path
    text: str
    tree: ast.Module

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return self.text.splitlines()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of its tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        """Every function, method and inner function."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def comprehensions(self) -> list[Comprehension]:
        """Every comprehension and generator expression."""
        return [node for node in self.nodes if isinstance(node, Comprehension)]

    @cached_property
    def docstring_lines(self) -> set[int]:
        """The numbers of the lines that docstrings take, from 1."""
        numbers: set[int] = set()
        for node in self.nodes:
            if isinstance(node, Documented) and ast.get_docstring(node) is not None:
                docstring = node.body[0]
                numbers.update(range(docstring.lineno, end_line(docstring) + 1))
        return numbers

    @cached_property
    def comment_lines(self) -> set[int]:
        """The numbers of the lines that hold a comment, alone or behind code."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def code_lines(self) -> list[str]:
        """The lines that are not blank, not in a docstring and not only a comment."""
        code = []
        for number, line in enumerate(self.lines, start=1):
            starts_with_hash = line.lstrip().startswith("#")
            only_comment = starts_with_hash and number in self.comment_lines
            if line.strip() and number not in self.docstring_lines and not only_comment:
                code.append(line)
        return code

    @cached_property
    def expression_count(self) -> int:
        """How many expression nodes its tree has."""
        return count(node for node in self.nodes if isinstance(node, ast.expr))

    @property
    def density(self) -> float:
        """Its expression nodes per code line."""
        return density_of([self])


def read_source(path: Path) -> Source:
    """Read and parse one file."""
    text = path.read_text(encoding="utf-8")
    return Source(path, text, ast.parse(text, str(path)))


def read_folder(folder: Path) -> list[Source]:
    """Read every Python file below a folder, in the order of their paths."""
    return [read_source(path) for path in sorted(folder.rglob("*.py"))]


def count(items: Iterable[object]) -> int:
    """How many items there are."""
    return sum(1 for _ in items)


def end_line(node: ast.stmt) -> int:
    """The number of a statement's last line."""
    return node.end_lineno or node.lineno


def function_length(function: Function) -> int:
    """A function's lines, docstring included and decorators not."""
    return end_line(function) - function.lineno + 1


def ratio(part: float, whole: float) -> float:
    """Part per whole, and 0 where there is no whole."""
    return part / whole if whole else 0.0


def code_line_count(sources: list[Source]) -> int:
    """The code lines of all the given files together."""
    return sum(len(source.code_lines) for source in sources)


def density_of(sources: list[Source]) -> float:
    """Expression nodes per code line, over all the given files together."""
    expressions = sum(source.expression_count for source in sources)
    return ratio(expressions, code_line_count(sources))


def inner_comprehensions(source: Source) -> list[Comprehension]:
    """Each comprehension that lies inside another's element, iterable or condition, once."""
    inner: dict[int, Comprehension] = {}
    for outer in source.comprehensions:
        for node in ast.walk(outer):
            if isinstance(node, Comprehension) and node is not outer:
                inner[id(node)] = node
    return list(inner.values())


def shown(path: Path) -> Path:
    """A path as a breach names it: from the repository's root where it lies there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def is_too_long(line: str) -> bool:
    """Whether a line is over the bar without the URLs in it."""
    return len(URL.sub("", line)) > LINE_LENGTH


def size_breaches(source: Source) -> Iterator[str]:
    """Say which of the bars for every file a file is over: its name and its lengths."""
    where = shown(source.path)
    stem = source.path.stem
    if stem in FORBIDDEN:
        yield f"{where}: a file named {stem} says nothing; name it after what it does"

    lines = len(source.lines)
    if lines > FILE_LINES:
        yield f"{where}: {lines} lines, at most {FILE_LINES}; split it"

    for function in source.functions:
        length = function_length(function)
        if length > FUNCTION_LINES:
            place = f"{where}:{function.lineno}: {function.name}"
            yield f"{place} has {length} lines, at most {FUNCTION_LINES}; split it"

    for number, line in enumerate(source.lines, start=1):
        if is_too_long(line):
            yield f"{where}:{number}: {len(line)} characters, at most {LINE_LENGTH}; break the line"


def density_breaches(source: Source) -> Iterator[str]:
    """Say which of the bars for the package's files a file is over: density and nesting."""
    where = shown(source.path)
    if source.density > FILE_DENSITY:
        packed = f"{source.density:.2f} expression nodes per code line"
        yield f"{where}: {packed}, at most {FILE_DENSITY}; say one thought a line"

    for comprehension in inner_comprehensions(source):
        place = f"{where}:{comprehension.lineno}"
        yield f"{place}: a comprehension inside another; give the inner one a name"


def mean_breaches(sources: list[Source]) -> Iterator[str]:
    """Say whether the package as a whole is too dense."""
    density = density_of(sources)
    if density > MEAN_DENSITY:
        packed = f"{density:.2f} expression nodes per code line on average"
        yield f"{shown(PACKAGE)}: {packed}, at most {MEAN_DENSITY}; say one thought a line"


def breaches(source: Source) -> Iterator[str]:
    """Say what in one file is over a bar."""
    yield from size_breaches(source)
    if source.path.is_relative_to(PACKAGE):
        yield from density_breaches(source)


def read_paths(paths: list[Path]) -> list[Source]:
    """Read the given files and the files below the given folders."""
    sources = []
    for path in paths:
        if path.is_dir():
            sources.extend(read_folder(path))
        else:
            sources.append(read_source(path))
    return sources


def density_table(sources: list[Source]) -> str:
    """Each file's density and code lines, the densest first, and those of all together."""
    rows = ["density  code lines  file"]
    densest_first = sorted(sources, key=lambda source: source.density, reverse=True)
    for source in densest_first:
        code_lines = len(source.code_lines)
        rows.append(f"{source.density:7.2f}  {code_lines:10}  {shown(source.path)}")
    total = code_line_count(sources)
    rows.append(f"{density_of(sources):7.2f}  {total:10}  all {len(sources)} files")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Print every breach and return how the process shall exit."""
    parser = argparse.ArgumentParser(description="Check the bars that no linter holds.")
    parser.add_argument("--only", nargs="+", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--table", action="store_true", help="print densities and no breaches")
    options = parser.parse_args(arguments)
    for path in options.only or []:
        if not path.exists():
            parser.error(f"there is no file or folder {path}")

    if options.only:
        chosen = read_paths([path.resolve() for path in options.only])
    elif options.table:
        chosen = read_folder(PACKAGE)
    else:
        chosen = read_paths([ROOT / folder for folder in FOLDERS])

    if options.only or options.table:
        print(density_table(chosen))
    if options.table:
        return 0

    messages = [breach for source in chosen for breach in breaches(source)]
    if not options.only:
        package_sources = [source for source in chosen if source.path.is_relative_to(PACKAGE)]
        messages.extend(mean_breaches(package_sources))
    for message in messages:
        print(message)
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
