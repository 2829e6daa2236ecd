"""The bars in scripts/bars.py fire on what breaches them, and structure.py counts as it says."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = ("bars", "structure")

CLEAN = '''
"""A file that breaches nothing."""


def total(prices):
    """Add the prices up."""
    result = 0
    for price in prices:
        result += price
    return result
'''


def load(name: str) -> ModuleType:
    """Import one script by its path, so that the next can import it by its name."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    before = {name: sys.modules.get(name) for name in NAMES}
    yield {name: load(name) for name in NAMES}
    for name, module in before.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def bars(scripts):
    return scripts["bars"]


@pytest.fixture
def structure(scripts):
    return scripts["structure"]


@pytest.fixture
def source(bars, tmp_path):
    """A function that reads a snippet as if it were a file."""

    def read(text, name="prices.py"):
        path = tmp_path / name
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return bars.read_source(path)

    return read


@pytest.fixture
def package(bars, tmp_path, monkeypatch):
    """A folder that the bars take for the package."""
    monkeypatch.setattr(bars, "PACKAGE", tmp_path)
    return tmp_path


def test_a_clean_file_breaches_nothing(bars, package, source):
    clean = source(CLEAN)
    assert list(bars.breaches(clean)) == []
    assert list(bars.mean_breaches([clean])) == []


@pytest.mark.parametrize("name", ["utils.py", "base.py"])
def test_a_name_that_says_nothing_fires(bars, source, name):
    (breach,) = bars.size_breaches(source(CLEAN, name))
    assert "says nothing" in breach


@pytest.mark.parametrize(("lines", "breaches"), [(400, 0), (401, 1)])
def test_a_file_has_400_lines_at_most(bars, source, lines, breaches):
    assert len(list(bars.size_breaches(source("x = 1\n" * lines)))) == breaches


@pytest.mark.parametrize(("lines", "breaches"), [(60, 0), (61, 1)])
def test_a_function_has_60_lines_at_most(bars, source, lines, breaches):
    body = "    x = 1\n" * (lines - 1)
    assert len(list(bars.size_breaches(source("def long():\n" + body)))) == breaches


@pytest.mark.parametrize(("characters", "breaches"), [(100, 0), (101, 1)])
def test_a_line_has_100_characters_at_most(bars, source, characters, breaches):
    line = "# " + "x" * (characters - 2)
    assert len(list(bars.size_breaches(source(line)))) == breaches


def test_a_url_may_make_a_line_longer(bars, source):
    line = "# see https://example.org/" + "x" * 100
    assert list(bars.size_breaches(source(line))) == []


def test_a_dense_file_fires(bars, source):
    dense = source("x = [a + b * c for a, b, c in zip(d, e, f) if g and h]")
    (breach,) = bars.density_breaches(dense)
    assert "expression nodes per code line" in breach


def test_a_dense_package_fires(bars, source):
    five_nodes = source("x = f(a, b)")
    four_nodes = source("x = a + b", "sum.py")
    assert list(bars.density_breaches(five_nodes)) == []
    assert list(bars.mean_breaches([four_nodes])) == []
    (breach,) = bars.mean_breaches([four_nodes, five_nodes])
    assert "4.50 expression nodes per code line on average" in breach


@pytest.mark.parametrize(
    "nested",
    [
        "[[y\n for y in x]\n for x in z]",
        "[x\n for x in [y\n for y in z]]",
        "[x\n for x in z\n if [y\n for y in x]]",
        "[sum(y\n for y in x)\n for x in z]",
        "{k: {y\n for y in x}\n for k, x in z}",
    ],
    ids=["element", "iterable", "condition", "sole argument", "value"],
)
def test_a_comprehension_inside_another_fires(bars, source, nested):
    (breach,) = bars.density_breaches(source(f"found = (\n{nested}\n)"))
    assert "a comprehension inside another" in breach


def test_comprehensions_side_by_side_are_quiet(bars, source):
    text = """
        first = [
            x
            for x in z
        ]
        second = [
            y
            for y in first
        ]
    """
    assert list(bars.density_breaches(source(text))) == []


def test_only_the_package_has_a_bar_on_density(bars, source):
    dense = source("x = [[a + b for a in c] for b in d]")
    assert list(bars.breaches(dense)) == []


def test_only_reports_the_given_files(bars, package, source, capsys):
    clean = source(CLEAN)
    dense = source("x = [[a + b for a in c] for b in d]", "dense.py")
    assert bars.main(["--only", str(clean.path)]) == 0
    assert "dense.py" not in capsys.readouterr().out
    assert bars.main(["--only", str(package)]) == 1
    assert f"{dense.path.name}:1: a comprehension inside another" in capsys.readouterr().out


def test_the_table_has_the_densest_file_first(bars, package, source, capsys):
    source(CLEAN)
    source("x = a + b + c", "dense.py")
    assert bars.main(["--table"]) == 0
    head, first, second, everything = capsys.readouterr().out.splitlines()
    assert head.split() == ["density", "code", "lines", "file"]
    assert first.split()[:2] == ["6.00", "1"]
    assert "prices.py" in second
    assert everything.endswith("all 2 files")


def test_code_lines_leave_out_blanks_comments_and_docstrings(bars, source):
    text = '''
        """A docstring
        of two lines."""

        # a comment
        x = 1  # behind code
        y = """
        # no comment
        """
    '''
    read = source(text)
    assert [line.split()[0] for line in read.code_lines] == ["x", "y", "#", '"""']
    assert len(read.comment_lines) == 2
    assert len(read.docstring_lines) == 2


def test_structure_draws_rooms_layers_and_circles(structure, tmp_path):
    package = tmp_path / "src" / "shop"
    (package / "till").mkdir(parents=True)
    texts = {
        "__init__.py": "if TYPE_CHECKING:\n    from shop.sale import sell\n",
        "sale.py": "from shop import till, __version__\nfrom shop.till.coins import change\n",
        "till/__init__.py": "",
        "till/coins.py": "def change():\n    import shop.till.notes\n",
        "till/notes.py": "from shop.till.coins import change\n",
    }
    for name, text in texts.items():
        (package / name).write_text(text, encoding="utf-8")
    for folder in ("tests", "scripts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts" / "sell.py").write_text("import shop.sale\n", encoding="utf-8")

    measures = structure.measure(package, tmp_path / "tests")

    # shop, sale, till and scripts; shop -> sale is only for types and closes a circle
    assert (measures["rooms"], measures["layers"], measures["arrows"]) == (4, 3, 4)
    runtime = [measures[f"runtime_{name}"] for name in ("rooms", "layers", "arrows")]
    assert runtime == [3, 2, 2]
    assert measures["largest_circle"] == 2


def test_structure_prints_a_row_for_each_measure_and_json(structure, source, tmp_path, capsys):
    source(CLEAN)
    folders = ["--src", str(tmp_path), "--tests", str(tmp_path)]
    structure.main(folders)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(structure.ROWS)
    structure.main([*folders, "--json"])
    assert json.loads(capsys.readouterr().out)["now"]["functions"] == 1
