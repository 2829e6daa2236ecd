"""A corpus that every machine has: the documentation of the Python installation it runs on.

Query: the summary of a docstring, or the first sentence of a language topic (`help("assert")`). Passage: the rest.
Files are parsed, never imported. Modules, not pairs, are dealt out to train, dev and test, so no module is in two.
"""

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whet.errors import ConfigError
from whet.records import Collection, Judgements, Passage

STANDARD_LIBRARY = "python"
PACKAGES = (
    STANDARD_LIBRARY,
    "numpy",
    "torch",
    "sentence_transformers",
    "datasets",
    "huggingface_hub",
)
"""Where the pairs come from by default: what is on every machine that whet runs on."""

SHARES = {"train": 0.74, "dev": 0.09, "test": 0.17}
SUMMARY_WORDS = range(4, 26)
PASSAGE_WORDS = range(
    8, 65
)  # longer passages are cut there: 64 words of such text are about 96 word pieces

_TOPICS = Path("pydoc_data", "topics.py")
_NOT_PUBLIC = re.compile(
    r"^(tests?|testing|test_.*|conftest|site-packages|dist-packages|idlelib|lib2to3|_(?!_).*)$"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\"'`(*])")
_DOCTEST = re.compile(r"^[ \t]*>>>.*(\n[ \t]*\S.*)*", re.MULTILINE)
_RULE = re.compile(r"^\s*[-=~*^#+\"]{3,}\s*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*(\.\. [\w:-]+::.*|(New|Changed) in version [\d.]+)$", re.MULTILINE)
_ROLE = re.compile(r":(?:\w+:)?\w+:`[~!]?([^`<]+?)(?:\s*<[^`]*>)?`")
_SIGNATURE = re.compile(r"^\S+\(.*\)|->|::|\w=|\{|\\")


@dataclass(frozen=True, slots=True)
class Pair:
    """One documented thing: its dotted name, the module it stands in, its summary, and what else is said of it."""

    id: str
    module: str
    summary: str
    passage: str


def build_pydoc_collection(
    *, limit: int | None, seed: int, packages: Sequence[str] | None = None
) -> Collection:
    """Build the corpus from the installation's own documentation.

    `limit` caps the number of pairs over all splits (None: every pair); `seed` deals modules out to the splits and
    picks the pairs that are kept. `packages` are top-level names, "python" being the standard library; by default
    `PACKAGES`. The same installation, limit and seed give the same collection. Raises ConfigError for a package that
    is not installed.
    """
    pairs = list(
        _distinct(
            pair
            for package in packages or PACKAGES
            for pair in _pairs_of(package)
            if _is_good(pair)
        )
    )
    kept: list[Pair] = []
    qrels: dict[str, Judgements] = {}
    for split, share in SHARES.items():
        drawn = sorted(
            (p for p in pairs if _split_of(p.module, seed) == split),
            key=lambda p: _draw(p.id, seed),
        )
        drawn = drawn if limit is None else drawn[: round(limit * share)]
        qrels[split] = {f"q:{pair.id}": {pair.id: 1} for pair in sorted(drawn, key=lambda p: p.id)}
        kept += drawn
    kept.sort(key=lambda pair: pair.id)
    passages = {pair.id: Passage(pair.id, pair.passage) for pair in kept}
    return Collection("pydoc", passages, {f"q:{pair.id}": pair.summary for pair in kept}, qrels)


def _pairs_of(package: str) -> Iterator[Pair]:
    """Yield every docstring and topic of a package that has a summary and more, files in the order of their names."""
    root = _folder_of(package)
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if any(_NOT_PUBLIC.match(part) for part in parts) or (tree := _parse(path)) is None:
            continue
        module = (
            ".".join((package, *parts))
            .removeprefix(f"{STANDARD_LIBRARY}.")
            .removesuffix(".__init__")
        )
        documents = _topics(tree) if path == root / _TOPICS else _docstrings(tree, "")
        for name, text in documents:
            summary, passage = _summary_and_rest(text)
            yield Pair(f"{module}.{name}".removesuffix("."), module, summary, passage)


def _folder_of(package: str) -> Path:
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"the documentation of {package!r} was asked for, but no such package is installed here"
        )
    return Path(spec.submodule_search_locations[0])


def _parse(path: Path) -> ast.Module | None:
    """Parse a file; None where this Python cannot (templates, other versions' syntax, odd encodings)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes are no news to our user
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError):
            return None


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Dotted name and docstring of a module and of its public classes, functions and methods."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if text := ast.get_docstring(node):
            yield name, text
        for child in node.body:
            if (
                isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and child.name[0] != "_"
            ):
                yield from _docstrings(child, f"{name}.{child.name}".removeprefix("."))


def _topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and text of each of pydoc's language topics, from the one dictionary that its module assigns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            topics = ast.literal_eval(node)
            yield from ((name, re.sub(r"\A.*\n\*+\n", "", text)) for name, text in topics.items())


def _summary_and_rest(text: str) -> tuple[str, str]:
    r"""Split a docstring into its first sentence and the rest, markup and doctests dropped, whitespace joined.

    >>> _summary_and_rest("Tell cats from dogs. Slow.\n\n>>> tell(rex)\n'dog'\n\nReturns a :class:`str`.")
    ('Tell cats from dogs.', 'Slow. Returns a `str`.')
    """
    text = _ROLE.sub(r"`\1`", text)
    for noise in (_DOCTEST, _RULE, _DIRECTIVE):
        text = noise.sub("", text)
    first, _, rest = text.strip().partition("\n\n")
    summary, *more = _SENTENCE_END.split(" ".join(first.split()), maxsplit=1)
    words = " ".join([*more, rest]).split()
    return summary, " ".join(words[: PASSAGE_WORDS[-1]])


def _is_good(pair: Pair) -> bool:
    """Tell a pair that a reader could answer from a stub, a signature, or a passage that repeats its query."""
    return (
        len(pair.summary.split()) in SUMMARY_WORDS
        and len(pair.passage.split()) in PASSAGE_WORDS
        and pair.summary[0].isalpha()
        and not _SIGNATURE.search(pair.summary)
        and _plain(pair.summary) not in _plain(pair.passage)
    )


def _distinct(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Drop pairs whose name, summary or opening of the passage came before: a copy is a right answer judged wrong."""
    seen: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    keys: tuple[Callable[[Pair], str], ...] = (
        lambda pair: pair.id,
        lambda pair: _plain(pair.summary),
        lambda pair: " ".join(_plain(pair.passage).split()[:16]),
    )
    for pair in pairs:
        if not any(key(pair) in known for key, known in zip(keys, seen, strict=True)):
            for key, known in zip(keys, seen, strict=True):
                known.add(key(pair))
            yield pair


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _draw(name: str, seed: int) -> float:
    """Draw a number in [0, 1) from the name and the seed alone, whatever the machine and whatever else there is."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6]) / 2**48


def _split_of(module: str, seed: int) -> str:
    point = _draw(module, seed)
    if point < SHARES["train"]:
        return "train"
    return "dev" if point < SHARES["train"] + SHARES["dev"] else "test"
