"""Measure how a package is built: its sizes, its density, its prose and its imports.

The measures are those of a review of this code, so that anyone can compare before and after.

    python scripts/structure.py                          the present tree
    python scripts/structure.py --against 6d6ceaf        two columns, before and after
    python scripts/structure.py --src DIR --tests DIR    another project
    python scripts/structure.py --json                   the same figures for a program

What the figures mean:

- Density is expression nodes per code line, as bars.py defines them, sum over sum.
- A function is every `def`. Its length counts its docstring, but not its decorators.
- p90 is the value at position 0.9 n of the n sorted values.
- Parameters are counted without `self`, `cls`, `*args` and `**kwargs`.
- A function is public when its own name has no leading underscore. It is annotated when all
  its parameters but `self` and `cls`, and what it returns, have a type.
- Characters per code line include the indentation. Long lines are a share of the code lines.
- Comprehensions are those of lists, sets and dicts, and generator expressions. The review calls
  one nested when it holds another or has a second `for`. Inner ones lie inside another.
- An assigned name is a name in any storing position, each time; so are loop variables.
- Comment lines hold a comment, also one behind code. They and docstring lines are shares of all.
- Rooms are the top-level modules and packages, the package's own `__init__` as one of them, and
  the folders `benchmarks` and `scripts` beside the tests. An arrow is a pair of rooms of which
  one imports the other anywhere, also inside a function or under TYPE_CHECKING.
- Layers are the rooms on the longest chain of arrows. A circle of rooms counts as one, and an
  arrow for type checkers does not count where it closes a circle.
- "At run time" leaves out `benchmarks`, `scripts` and what only TYPE_CHECKING imports.
- The largest circle is counted in modules and at run time. Relative imports are not followed.
"""

import argparse
import ast
import io
import json
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from bars import (
    LINE_LENGTH,
    Comprehension,
    Function,
    Source,
    code_line_count,
    count,
    density_of,
    function_length,
    inner_comprehensions,
    ratio,
    read_folder,
)

ROOT = Path(__file__).parents[1]
CALLERS = ("benchmarks", "scripts")
MANY_PARAMETERS = 6

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


def percent(part: float, whole: float) -> float:
    """Part per hundred of the whole."""
    return 100 * ratio(part, whole)


def holds_comprehension_or_two_fors(comprehension: Comprehension) -> bool:
    """Whether the review counts a comprehension as nested."""
    comprehensions = (node for node in ast.walk(comprehension) if isinstance(node, Comprehension))
    return len(comprehension.generators) > 1 or count(comprehensions) > 1


def spread(name: str, values: list[int]) -> Measures:
    """Median, 90th percentile and maximum of some lengths."""
    ordered = sorted(values) or [0]
    position_of_p90 = int(0.9 * len(ordered))
    return {
        f"{name}_median": statistics.median(ordered),
        f"{name}_p90": ordered[position_of_p90],
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
        "many_parameters": percent(wide, len(functions)),
        "public_docstrings": percent(documented, len(public)),
        "annotated": percent(annotated, len(functions)),
    }


def measure_lines(sources: list[Source], package: Path) -> Measures:
    """How much stands on a code line, in nodes and in characters."""
    code = [line for source in sources for line in source.code_lines]
    worst = max(sources, key=lambda source: source.density)
    long_lines = count(line for line in code if len(line) > LINE_LENGTH)
    return {
        "code_lines": len(code),
        "density": density_of(sources),
        "worst_density": worst.density,
        "worst_file": worst.path.relative_to(package).as_posix(),
        "characters": ratio(sum(len(line) for line in code), len(code)),
        "long_lines": percent(long_lines, len(code)),
    }


def is_packed_assignment(node: ast.AST) -> bool:
    """Whether a node has the form `a, b = x, y`."""
    if not isinstance(node, ast.Assign):
        return False
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def measure_expressions(sources: list[Source]) -> Measures:
    """How often an expression packs several thoughts, and how long its names are."""
    code_lines = code_line_count(sources)
    nodes = [node for source in sources for node in source.nodes]
    comprehensions = [each for source in sources for each in source.comprehensions]
    nested = count(each for each in comprehensions if holds_comprehension_or_two_fors(each))
    inner = sum(len(inner_comprehensions(source)) for source in sources)
    ternaries = count(node for node in nodes if isinstance(node, ast.IfExp))
    packed = count(node for node in nodes if is_packed_assignment(node))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    lengths = [len(name.id) for name in names if isinstance(name.ctx, ast.Store)]
    return {
        "comprehensions": percent(len(comprehensions), code_lines),
        "nested_or_two_fors": percent(nested, code_lines),
        "inner_comprehensions": percent(inner, code_lines),
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
        "comment_lines": percent(comments, lines),
        "docstring_lines": percent(docstrings, lines),
        "tests_per_source": ratio(test_lines, lines),
    }


def module_name(path: Path, package: Path) -> str:
    """A file's dotted name, that of the folder for an `__init__`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def import_statements(node: ast.AST, at_run_time: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import below a node; at run time, none of those for type checkers."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = list(node.orelse)
    for child in children:
        yield from import_statements(child, at_run_time)


def imports_of(source: Source, modules: set[str], at_run_time: bool) -> set[str]:
    """The package's own modules that a file imports."""
    imported: set[str] = set()
    for node in import_statements(source.tree, at_run_time):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
            continue
        for alias in node.names:
            child = f"{node.module}.{alias.name}"
            imported.add(child if child in modules else str(node.module))
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
    return max((size for size in sizes if size > 1), default=0)


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
    modules = {module_name(source.path, package): source for source in sources}
    graph = {}
    for name, source in modules.items():
        graph[name] = imports_of(source, set(modules), at_run_time) - {name}
    return graph


def arrow_count(graph: Graph) -> int:
    """How many arrows a graph has."""
    return sum(len(targets) for targets in graph.values())


def room_graph(modules: Graph) -> Graph:
    """Which room of the package imports which other."""
    graph: Graph = {}
    for module, targets in modules.items():
        room = room_of(module)
        rooms_below = {room_of(target) for target in targets}
        graph.setdefault(room, set()).update(rooms_below - {room})
    return graph


def without_closing_arrows(graph: Graph, runtime_graph: Graph) -> Graph:
    """A graph without the arrows that are for type checkers and close a circle."""
    kept = {}
    for node, targets in graph.items():
        for_types = targets - runtime_graph.get(node, set())
        closing = {target for target in for_types if node in reachable(graph, target)}
        kept[node] = targets - closing
    return kept


def measure_imports(sources: list[Source], package: Path, callers: list[Path]) -> Measures:
    """Rooms, layers and arrows, with the callers and without, and the largest circle."""
    runtime_modules = module_graph(sources, package, at_run_time=True)
    runtime_rooms = room_graph(runtime_modules)
    rooms = room_graph(module_graph(sources, package, at_run_time=False))
    layered_rooms = without_closing_arrows(rooms, runtime_rooms)
    for folder in callers:
        called: set[str] = set()
        for source in read_folder(folder):
            called.update(imports_of(source, set(runtime_modules), at_run_time=False))
        rooms[folder.name] = {room_of(module) for module in called}
        layered_rooms[folder.name] = rooms[folder.name]
    return {
        "rooms": len(rooms),
        "layers": layer_count(layered_rooms),
        "arrows": arrow_count(rooms),
        "runtime_rooms": len(runtime_rooms),
        "runtime_layers": layer_count(runtime_rooms),
        "runtime_arrows": arrow_count(runtime_rooms),
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
    archive = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        root = Path(folder)
        return measure(root / package.relative_to(ROOT), root / tests.relative_to(ROOT))


def as_table(columns: dict[str, Measures]) -> str:
    """Lay the measures out as a table with one column a tree."""
    titles = "".join(f"{title:>26}" for title in columns)
    lines = [" " * 36 + titles]
    for label, template in ROWS:
        cells = [template.format(**measures) for measures in columns.values()]
        row = "".join(f"{cell:>26}" for cell in cells)
        lines.append(f"{label:36}{row}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the measures of the present tree, beside those of another revision if asked."""
    parser = argparse.ArgumentParser(description="Measure how a package is built.")
    parser.add_argument("--src", type=Path, default=ROOT / "src/whet")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests")
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
    main()
