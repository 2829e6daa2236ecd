"""Measure how a package is built: its sizes, its density, its prose and its imports.

The measures are those of a review of this code, so that anyone can compare before and after.

    python scripts/structure.py                          the present tree
    python scripts/structure.py --against 6d6ceaf        two columns, before and after
    python scripts/structure.py --src DIR --tests DIR    another project
    python scripts/structure.py --json                   the same figures for a program

What the figures mean:

- A code line is a line that is not blank, not in a docstring and not only a comment.
- A function is every `def`, also a method or a `def` inside another. Its length counts its
  docstring, but not its decorators.
- p90 is the value at position 0.9 n of the n sorted values.
- Parameters are counted without `self`, `cls`, `*args` and `**kwargs`.
- A function is public when its own name has no leading underscore. It is annotated when all
  its parameters but `self` and `cls`, and what it returns, have a type.
- An expression node is every `ast.expr`: also names, constants, docstrings and annotations.
- Density is expression nodes per code line. A package's is the sum over the sum.
- Characters per code line include the indentation. Long lines are a share of the code lines.
- A comprehension is a list, set or dict comprehension or a generator expression. The review
  calls one nested when it holds another or has a second `for`. Inner ones lie inside another.
- An assigned name is every name in a storing position, as often as it stands there: also loop
  variables, those of comprehensions and those of `with`.
- Comment lines hold a comment, also one behind code. They and docstring lines are shares of all.
- Rooms are the top-level modules and packages, the package's own `__init__` as one of them, and
  the folders `benchmarks` and `scripts` beside the tests. An arrow is a pair of rooms of which
  one imports the other anywhere, also inside a function or under TYPE_CHECKING.
- Layers are the rooms on the longest chain of arrows, each circle of rooms as one.
- "At run time" leaves out `benchmarks`, `scripts` and what only TYPE_CHECKING imports.
- The largest circle is counted in modules and at run time; 0 where there is none.
"""

import argparse
import ast
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
CALLERS = ("benchmarks", "scripts")
LONG_LINE = 100
MANY_PARAMETERS = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Graph = dict[str, set[str]]
Measures = dict[str, float | str]

ROWS = (
    ("files / lines", "{files} / {lines}"),
    ("file length median / p90 / max", "{file_median:g} / {file_p90} / {file_max}"),
    ("functions", "{functions}"),
    ("function length median / p90 / max", "{function_median:g} / {function_p90} / {function_max}"),
    ("functions with 6 or more parameters", "{many_parameters:.1f} %"),
    ("public docstrings / annotated", "{public_docstrings:.0f} / {annotated:.0f} %"),
    ("expression nodes per code line", "{density:.2f}"),
    ("  the densest file", "{worst_density:.1f} {worst_file}"),
    ("characters per code line", "{characters:.1f}"),
    ("code lines over 100 characters", "{long_lines:.1f} %"),
    ("comprehensions per 100 code lines", "{comprehensions:.1f}"),
    ("  nested as the review counts", "{nested_or_two_fors:.2f}"),
    ("  inner ones", "{inner_comprehensions:.2f}"),
    ("ternaries per 1000 code lines", "{ternaries:.1f}"),
    ("`a, b = x, y` per 1000 code lines", "{packed_assignments:.1f}"),
    ("mean length of an assigned name", "{name_length:.2f}"),
    ("comment lines / docstring lines", "{comment_lines:.1f} / {docstring_lines:.1f} %"),
    ("test lines / source lines", "{tests_per_source:.2f}"),
    ("rooms / layers / arrows", "{rooms} / {layers} / {arrows}"),
    ("  at run time", "{runtime_rooms} / {runtime_layers} / {runtime_arrows}"),
    ("largest circle of imports", "{largest_circle}"),
)


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
            starts_as_comment = line.lstrip().startswith("#")
            only_comment = starts_as_comment and number in self.comment_lines
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


def density_of(sources: list[Source]) -> float:
    """Expression nodes per code line, over all the given files together."""
    expressions = sum(source.expression_count for source in sources)
    code_lines = sum(len(source.code_lines) for source in sources)
    return ratio(expressions, code_lines)


def inner_comprehensions(source: Source) -> list[Comprehension]:
    """Each comprehension that lies inside another's element, iterable or condition, once."""
    inner: dict[int, Comprehension] = {}
    for outer in source.nodes:
        if not isinstance(outer, Comprehension):
            continue
        for node in ast.walk(outer):
            if isinstance(node, Comprehension) and node is not outer:
                inner[id(node)] = node
    return list(inner.values())


def holds_comprehension_or_two_fors(comprehension: Comprehension) -> bool:
    """Whether the review counts a comprehension as nested."""
    comprehensions = (node for node in ast.walk(comprehension) if isinstance(node, Comprehension))
    return len(comprehension.generators) > 1 or count(comprehensions) > 1


def spread(name: str, values: list[int]) -> Measures:
    """Median, 90th percentile and maximum of some lengths."""
    ordered = sorted(values) or [0]
    position = int(0.9 * len(ordered))
    return {
        f"{name}_median": statistics.median(ordered),
        f"{name}_p90": ordered[position],
        f"{name}_max": ordered[-1],
    }


def parameters(function: Function) -> list[ast.arg]:
    """A function's named parameters, without `self` and `cls`."""
    arguments = function.args
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    return [parameter for parameter in named if parameter.arg not in {"self", "cls"}]


def is_annotated(function: Function) -> bool:
    """Whether a function's return and all its parameters have a type."""
    collected = [function.args.vararg, function.args.kwarg]
    typed = parameters(function) + [parameter for parameter in collected if parameter]
    return function.returns is not None and all(parameter.annotation for parameter in typed)


def measure_sizes(sources: list[Source]) -> Measures:
    """How many files and lines there are, and how long the files are."""
    lengths = [len(source.lines) for source in sources]
    return {"files": len(sources), "lines": sum(lengths), **spread("file", lengths)}


def measure_functions(sources: list[Source]) -> Measures:
    """How long the functions are, and whether they are short of parameters and well described."""
    functions = [function for source in sources for function in source.functions]
    public = [function for function in functions if not function.name.startswith("_")]
    wide = count(each for each in functions if len(parameters(each)) >= MANY_PARAMETERS)
    documented = count(each for each in public if ast.get_docstring(each))
    annotated = count(each for each in functions if is_annotated(each))
    return {
        "functions": len(functions),
        **spread("function", [function_length(function) for function in functions]),
        "many_parameters": 100 * ratio(wide, len(functions)),
        "public_docstrings": 100 * ratio(documented, len(public)),
        "annotated": 100 * ratio(annotated, len(functions)),
    }


def measure_lines(sources: list[Source], package: Path) -> Measures:
    """How much stands on a code line, in nodes and in characters."""
    code = [line for source in sources for line in source.code_lines]
    worst = max(sources, key=lambda source: source.density)
    long_lines = count(line for line in code if len(line) > LONG_LINE)
    return {
        "code_lines": len(code),
        "density": density_of(sources),
        "worst_density": worst.density,
        "worst_file": worst.path.relative_to(package).as_posix(),
        "characters": ratio(sum(len(line) for line in code), len(code)),
        "long_lines": 100 * ratio(long_lines, len(code)),
    }


def is_packed_assignment(node: ast.AST) -> bool:
    """Whether a node has the form `a, b = x, y`."""
    if not isinstance(node, ast.Assign):
        return False
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def measure_expressions(sources: list[Source]) -> Measures:
    """How often an expression packs several thoughts, and how long its names are."""
    nodes = [node for source in sources for node in source.nodes]
    code_lines = sum(len(source.code_lines) for source in sources)
    comprehensions = [node for node in nodes if isinstance(node, Comprehension)]
    nested = count(each for each in comprehensions if holds_comprehension_or_two_fors(each))
    inner = sum(len(inner_comprehensions(source)) for source in sources)
    ternaries = count(node for node in nodes if isinstance(node, ast.IfExp))
    packed = count(node for node in nodes if is_packed_assignment(node))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    lengths = [len(name.id) for name in names if isinstance(name.ctx, ast.Store)]
    return {
        "comprehensions": 100 * ratio(len(comprehensions), code_lines),
        "nested_or_two_fors": 100 * ratio(nested, code_lines),
        "inner_comprehensions": 100 * ratio(inner, code_lines),
        "ternaries": 1000 * ratio(ternaries, code_lines),
        "packed_assignments": 1000 * ratio(packed, code_lines),
        "name_length": ratio(sum(lengths), len(lengths)),
    }


def measure_prose(sources: list[Source], tests: list[Source]) -> Measures:
    """How many lines explain, and how many lines test."""
    lines = sum(len(source.lines) for source in sources)
    comments = sum(len(source.comment_lines) for source in sources)
    docstrings = sum(len(source.docstring_lines) for source in sources)
    test_lines = sum(len(test.lines) for test in tests)
    return {
        "comment_lines": 100 * ratio(comments, lines),
        "docstring_lines": 100 * ratio(docstrings, lines),
        "tests_per_source": ratio(test_lines, lines),
    }


def module_name(path: Path, package: Path) -> str:
    """A file's dotted name, that of the folder for an `__init__`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def is_type_checking(node: ast.AST) -> bool:
    """Whether a node is `if TYPE_CHECKING:`."""
    if not isinstance(node, ast.If):
        return False
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def import_statements(node: ast.AST, at_run_time: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import below a node; at run time, none of those for type checkers."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    children = list(ast.iter_child_nodes(node))
    if at_run_time and is_type_checking(node):
        children = node.orelse
    for child in children:
        yield from import_statements(child, at_run_time)


def imported_from(node: ast.ImportFrom, importer: Source, package: Path) -> str:
    """The module that a `from` names, with the dots of a relative one resolved."""
    if not node.level:
        return node.module or ""
    parents = module_name(importer.path.parent / "__init__.py", package).split(".")
    kept = parents[: len(parents) - node.level + 1]
    return ".".join([*kept, node.module] if node.module else kept)


def imports_of(source: Source, package: Path, modules: set[str], at_run_time: bool) -> set[str]:
    """The package's own modules that a file imports."""
    imported: set[str] = set()
    for node in import_statements(source.tree, at_run_time):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
            continue
        parent = imported_from(node, source, package)
        for alias in node.names:
            child = f"{parent}.{alias.name}"
            imported.add(child if child in modules else parent)
    return imported & modules


def room_of(module: str) -> str:
    """The top-level module or package that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def reachable(graph: Graph, start: str) -> set[str]:
    """Every node that arrows lead to from a start, and the start only by a circle."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(graph[node])
    return seen


def circles(graph: Graph) -> dict[str, frozenset[str]]:
    """For each node, all the nodes that it reaches and that reach it, itself included."""
    reach = {node: reachable(graph, node) for node in graph}
    found = {}
    for node in graph:
        mutual = {other for other in reach[node] if node in reach[other]}
        found[node] = frozenset(mutual | {node})
    return found


def largest_circle(graph: Graph) -> int:
    """How many nodes the largest circle has, 0 where there is none."""
    sizes = [len(circle) for circle in circles(graph).values()]
    largest = max(sizes, default=0)
    return largest if largest > 1 else 0


def layer_count(graph: Graph) -> int:
    """The length of the longest chain of arrows, in nodes; a circle counts as one node."""
    circle_of = circles(graph)
    collapsed: dict[frozenset[str], set[frozenset[str]]] = {}
    for node, targets in graph.items():
        circle = circle_of[node]
        below = collapsed.setdefault(circle, set())
        below.update(circle_of[target] for target in targets if target not in circle)
    height: dict[frozenset[str], int] = {}
    for circle in TopologicalSorter(collapsed).static_order():
        heights_below = (height[below] for below in collapsed[circle])
        height[circle] = 1 + max(heights_below, default=0)
    return max(height.values(), default=0)


def module_graph(sources: list[Source], package: Path, at_run_time: bool) -> Graph:
    """Which module of the package imports which."""
    named = {module_name(source.path, package): source for source in sources}
    modules = set(named)
    graph = {}
    for name, source in named.items():
        graph[name] = imports_of(source, package, modules, at_run_time) - {name}
    return graph


def room_graph(modules: Graph) -> Graph:
    """Which room of the package imports which other."""
    graph: Graph = {}
    for module, targets in modules.items():
        room = room_of(module)
        rooms_below = {room_of(target) for target in targets}
        graph.setdefault(room, set()).update(rooms_below - {room})
    return graph


def measure_imports(sources: list[Source], package: Path, callers: list[Path]) -> Measures:
    """Rooms, layers and arrows, with the callers and without, and the largest circle."""
    runtime_modules = module_graph(sources, package, at_run_time=True)
    runtime_rooms = room_graph(runtime_modules)
    rooms = room_graph(module_graph(sources, package, at_run_time=False))
    for folder in callers:
        rooms[folder.name] = set()
        for source in read_folder(folder):
            targets = imports_of(source, package, set(runtime_modules), at_run_time=False)
            rooms[folder.name].update(room_of(target) for target in targets)
    return {
        "rooms": len(rooms),
        "layers": layer_count(rooms),
        "arrows": sum(len(targets) for targets in rooms.values()),
        "runtime_rooms": len(runtime_rooms),
        "runtime_layers": layer_count(runtime_rooms),
        "runtime_arrows": sum(len(targets) for targets in runtime_rooms.values()),
        "largest_circle": largest_circle(runtime_modules),
    }


def measure(package: Path, tests: Path) -> Measures:
    """Take all measures of a package and its tests."""
    sources = read_folder(package)
    if not sources:
        raise SystemExit(f"structure.py: no Python files below {package}")
    beside_tests = [tests.parent / name for name in CALLERS]
    callers = [folder for folder in beside_tests if folder.is_dir()]
    return {
        **measure_sizes(sources),
        **measure_functions(sources),
        **measure_lines(sources, package),
        **measure_expressions(sources),
        **measure_prose(sources, read_folder(tests)),
        **measure_imports(sources, package, callers),
    }


def measure_revision(revision: str, package: Path, tests: Path) -> Measures:
    """Take all measures of the same folders as another git revision has them."""
    command = ["git", "archive", "--format=tar", revision]
    archive = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        root = Path(folder)
        return measure(root / package.relative_to(ROOT), root / tests.relative_to(ROOT))


def as_table(columns: dict[str, Measures]) -> str:
    """Lay the measures out as a table with one column a tree."""
    lines = [f"{'':36}" + "".join(f"{title:>26}" for title in columns)]
    for label, template in ROWS:
        cells = [template.format(**measures) for measures in columns.values()]
        lines.append(f"{label:36}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the measures of the present tree, beside those of another revision if asked."""
    parser = argparse.ArgumentParser(description="Measure how a package is built.")
    parser.add_argument("--src", type=Path, default=ROOT / "src" / "whet", metavar="DIR")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", metavar="DIR")
    parser.add_argument("--against", metavar="REV", help="a git revision to compare with")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    package = options.src.resolve()
    tests = options.tests.resolve()

    columns: dict[str, Measures] = {}
    if options.against:
        columns[options.against] = measure_revision(options.against, package, tests)
    columns["now"] = measure(package, tests)
    print(json.dumps(columns, indent=2) if options.json else as_table(columns))


if __name__ == "__main__":
    sys.exit(main())
