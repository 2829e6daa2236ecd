"""A corpus that every machine has: the documentation of the Python installation it runs on.

The query is the summary of a docstring, or the first sentence of a language topic
(`help("assert")`). The passage is the rest. Files are parsed, never imported. Modules, not pairs,
are dealt out to train, dev and test, so no module is in two splits.
"""

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
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

SHARES = {
    "train": 0.74,
    "dev": 0.09,
    "test": 0.17,
}
SUMMARY_WORDS = range(4, 26)
PASSAGE_WORDS = range(8, 65)
"""Longer passages are cut at 64 words; in such text these are about 96 word pieces."""
OPENING_WORDS = 16
"""Passages that begin with the same words count as copies."""

_TOPICS = Path("pydoc_data", "topics.py")
# Tests, other packages' folders, and private names, but not __init__ and __main__.
_NOT_PUBLIC = re.compile(
    r"^(tests?|testing|test_.*|conftest|site-packages|dist-packages|idlelib|lib2to3|_(?!_).*)$"
)
# Before a capital, a quote, a bracket or markup; not after "e.g." and "i.e.".
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\"'`(*])")
# A prompt, and the lines below it up to a blank one.
_DOCTEST = re.compile(r"^[ \t]*>>>.*(\n[ \t]*\S.*)*", re.MULTILINE)
# Lines that underline headings.
_RULE = re.compile(r"^\s*[-=~*^#+\"]{3,}\s*$", re.MULTILINE)
# ".. note::" and the like, and notes on versions.
_DIRECTIVE = re.compile(r"^[ \t]*(\.\. [\w:-]+::.*|(New|Changed) in version [\d.]+)$", re.MULTILINE)
# :class:`str`, :func:`~os.path.join`, :ref:`text <target>`: the first group is what is shown.
_ROLE = re.compile(r":(?:\w+:)?\w+:`[~!]?([^`<]+?)(?:\s*<[^`]*>)?`")
# A summary that is code: a call, an arrow, a default value, a brace, a backslash.
_SIGNATURE = re.compile(r"^\S+\(.*\)|->|::|\w=|\{|\\")
# The heading of a topic, underlined with asterisks.
_HEADLINE = re.compile(r"\A.*\n\*+\n")

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Pair:
    """One documented object: its dotted name, its module, its summary, and the rest of the text."""

    id: str
    module: str
    summary: str
    passage: str

    @property
    def query_id(self) -> str:
        """The id of its summary as a query; its own id is that of the passage."""
        return f"q:{self.id}"


def build_pydoc_collection(
    *,
    limit: int | None,
    seed: int,
    packages: Sequence[str] | None = None,
) -> Collection:
    """Build the corpus from the installation's own documentation.

    `limit` caps the number of pairs over all splits (None: every pair). `seed` deals modules out to
    the splits, and draws the pairs that a limit leaves. `packages` are top-level names, "python"
    being the standard library; by default `PACKAGES`. The same installation, limit and seed give
    the same collection.

    Raises ConfigError for a package that is not installed.
    """
    pairs = _distinct_pairs(packages or PACKAGES)
    chosen: list[Pair] = []
    qrels: dict[str, Judgements] = {}
    for split, share in SHARES.items():
        drawn = [pair for pair in pairs if _split_of(pair.module, seed) == split]
        drawn.sort(key=lambda pair: _random_number(pair.id, seed))
        if limit is not None:
            drawn = drawn[: round(limit * share)]
        drawn.sort(key=lambda pair: pair.id)
        qrels[split] = {pair.query_id: {pair.id: 1} for pair in drawn}
        chosen += drawn
    chosen.sort(key=lambda pair: pair.id)
    passages = {pair.id: Passage(pair.id, pair.passage) for pair in chosen}
    queries = {pair.query_id: pair.summary for pair in chosen}
    return Collection("pydoc", passages, queries, qrels)


def _distinct_pairs(packages: Iterable[str]) -> list[Pair]:
    """The good pairs of all packages, without copies: a copy is a right answer judged wrong.

    A pair is a copy if its name, its summary or the opening of its passage came before.
    """
    names: set[str] = set()
    summaries: set[str] = set()
    openings: set[str] = set()
    pairs = []
    for package in packages:
        for pair in _pairs_of(package):
            if not _is_good(pair):
                continue
            summary = _plain(pair.summary)
            words = _plain(pair.passage).split()
            opening = " ".join(words[:OPENING_WORDS])
            if pair.id in names or summary in summaries or opening in openings:
                continue
            names.add(pair.id)
            summaries.add(summary)
            openings.add(opening)
            pairs.append(pair)
    return pairs


def _pairs_of(package: str) -> Iterator[Pair]:
    """Yield every docstring and topic of a package, files in the order of their names."""
    root = _folder_of(package)
    for path in sorted(root.rglob("*.py")):
        names = path.relative_to(root).with_suffix("").parts
        if any(_NOT_PUBLIC.match(name) for name in names):
            continue
        tree = _parse(path)
        if tree is None:
            continue
        module = ".".join((package, *names))
        module = module.removeprefix(f"{STANDARD_LIBRARY}.")
        module = module.removesuffix(".__init__")
        is_topics = path == root / _TOPICS
        documents = _topics(tree) if is_topics else _docstrings(tree, "")
        for name, text in documents:
            summary, passage = _summary_and_rest(text)
            full_name = f"{module}.{name}" if name else module
            yield Pair(full_name, module, summary, passage)


def _folder_of(package: str) -> Path:
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    spec = None
    if package.isidentifier():
        spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"the documentation of {package!r} is to be read, but no such package is installed. "
            "Install it or name another"
        )
    return Path(spec.submodule_search_locations[0])


def _parse(path: Path) -> ast.Module | None:
    """Parse a file; None where this Python cannot.

    Such files are templates, in another version's syntax, or in odd encodings.
    """
    with warnings.catch_warnings():
        # Other people's invalid escapes are nothing that our user can cure.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError):
            return None


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Dotted name and docstring of a module and of its public classes, functions and methods."""
    if not isinstance(node, ast.Module | ast.ClassDef | _FunctionNode):
        return
    text = ast.get_docstring(node)
    if text:
        yield name, text
    for child in node.body:
        if not isinstance(child, ast.ClassDef | _FunctionNode):
            continue
        if not child.name.startswith("_"):
            child_name = f"{name}.{child.name}" if name else child.name
            yield from _docstrings(child, child_name)


def _topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and text of pydoc's language topics, from the one dictionary that its module assigns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            topics = ast.literal_eval(node)
            for name, text in topics.items():
                yield name, _HEADLINE.sub("", text)


def _summary_and_rest(text: str) -> tuple[str, str]:
    r"""Split a docstring into its first sentence and the rest.

    Markup and doctests are dropped, and white space is joined.

    >>> _summary_and_rest("Tell cats from dogs. Slow.\n\n>>> tell(rex)\n'dog'\n\nA :class:`str`.")
    ('Tell cats from dogs.', 'Slow. A `str`.')
    """
    text = _ROLE.sub(r"`\1`", text)
    for noise in (_DOCTEST, _RULE, _DIRECTIVE):
        text = noise.sub("", text)
    first_paragraph, _, rest = text.strip().partition("\n\n")
    first_paragraph = " ".join(first_paragraph.split())
    summary, *more = _SENTENCE_END.split(first_paragraph, maxsplit=1)
    words = " ".join([*more, rest]).split()
    longest = PASSAGE_WORDS[-1]
    return summary, " ".join(words[:longest])


def _is_good(pair: Pair) -> bool:
    """Whether a reader could answer the query with the passage.

    Stubs, signatures and passages that repeat their query are left out.
    """
    summary_length = len(pair.summary.split())
    passage_length = len(pair.passage.split())
    if summary_length not in SUMMARY_WORDS or passage_length not in PASSAGE_WORDS:
        return False
    first_character = pair.summary[0]
    if not first_character.isalpha() or _SIGNATURE.search(pair.summary):
        return False
    return _plain(pair.summary) not in _plain(pair.passage)


def _plain(text: str) -> str:
    """The words of a text, without case and signs."""
    words = re.findall(r"\w+", text.casefold())
    return " ".join(words)


def _random_number(name: str, seed: int) -> float:
    """A number in [0, 1) from the name and the seed alone, the same on every machine."""
    seeded_name = f"{seed} {name}"
    hashed = hashlib.sha256(seeded_name.encode()).digest()
    first_48_bits = int.from_bytes(hashed[:6])
    return first_48_bits / 2**48


def _split_of(module: str, seed: int) -> str:
    number = _random_number(module, seed)
    train_end = SHARES["train"]
    dev_end = train_end + SHARES["dev"]
    if number < train_end:
        return "train"
    if number < dev_end:
        return "dev"
    return "test"
