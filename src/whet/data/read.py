"""The way in: whatever the user has, as one Collection, or every fault that stands against it."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

from rich.markup import escape

from whet.artifacts import rolling_digest
from whet.data.beir import is_beir, is_corpus, read_beir
from whet.data.cut import Cutter, read_documents
from whet.data.documents import READERS, document_files
from whet.data.faults import Faults
from whet.data.files import SUFFIXES
from whet.data.hub import is_saved_dataset, read_hub, read_saved
from whet.data.split import with_splits
from whet.data.table import question_tables, read_tables, split_files
from whet.errors import Fault, raise_errors
from whet.progress import say
from whet.records import Collection

WARNINGS_SAID = 10

EXPECTED = (
    "Give a BEIR folder (corpus.jsonl, queries.jsonl, qrels/train.tsv), one table with a query and a positive column "
    f"({', '.join(SUFFIXES)}), a folder with train/dev/test tables, a saved dataset, a data set id of the hub, or "
    f"documents to write queries for ({', '.join(READERS)})."
)

CHARACTERS_PER_TOKEN = 4
GUESSED = Cutter(lambda texts: [len(text) // CHARACTERS_PER_TOKEN for text in texts], 200)
"""How documents are cut where no model says how long they are."""


def load(source: str | Path | Collection, *, split_seed: int = 13) -> Collection:
    """Read retrieval data and see to it that it has a train, a dev and a test split.

    `source` is a BEIR folder; a .jsonl, .json, .csv, .tsv or .parquet file with columns query and positive (or what
    others call them), perhaps negatives and their queries; a folder with such files named train, dev, test; a folder
    that `datasets` saved; or a data set id of the Hugging Face hub. Splits that are missing are made (see
    `with_splits`). Raises DataError, with every fault found, when any of them is an error; warnings are said.
    """
    collection = source if isinstance(source, Collection) else _sound(source)
    split, how = with_splits(collection, seed=split_seed)
    if how["made"]:
        sizes = ", ".join(f"{name} {count}" for name, count in how["queries"].items())
        say(f"{' and '.join(how['made'])} made from train by passage group; queries: {sizes}")
    for name, count in how["trained_positives"].items():
        if count:
            what = (
                f"{count} passages that answer {name} queries are positives of training queries too"
            )
            say(f"[yellow]warning[/yellow] {escape(split.name)}: {what}; `whet check` tells more")
    return split


def _sound(source: str | Path) -> Collection:
    """Read data that has no error-level fault; its warnings are said."""
    collection, faults = read(source)
    raise_errors(faults)
    for fault in faults[:WARNINGS_SAID]:
        say(f"[yellow]warning[/yellow] {escape(str(fault))}")
    if len(faults) > WARNINGS_SAID:
        say(
            f"[yellow]… and {len(faults) - WARNINGS_SAID} more warnings; `whet check` lists them all[/yellow]"
        )
    return collection


def read(
    source: str | Path, cutter: Callable[[], Cutter] = lambda: GUESSED
) -> tuple[Collection, tuple[Fault, ...]]:
    """Read data as it stands, splits as given: what could be read, and all faults, errors and warnings, in order.

    Documents and a corpus alone, or with test queries alone, have no train split. `cutter` says how documents are cut.
    """
    faults = Faults()
    collection = _dispatch(str(source), Path(source), faults, cutter)
    positives = sum(len(collection.positives(split)) for split in collection.qrels)
    if not positives and (any(collection.qrels.values()) or not (faults or collection.passages)):
        cure = "Judge at least one passage per query with 1 or more."
        faults.error("no-positives", source, "no query has a relevant passage", cure)
    return collection, tuple(faults)


def content_fingerprint(collection: Collection) -> str:
    """Hash of texts, judgements, given negatives and h* (40 hex digits); the order of passages and queries counts."""
    passages = (
        (passage.id, passage.title, passage.text) for passage in collection.passages.values()
    )
    given = {query: list(passages) for query, passages in collection.negatives.items()}
    stars = {passage: list(texts) for passage, texts in collection.positive_queries.items()}
    rest = dict(collection.qrels), given, stars
    return rolling_digest(
        chain(passages, [len(collection.passages)], collection.queries.items(), rest)
    )


def _dispatch(source: str, path: Path, faults: Faults, cutter: Callable[[], Cutter]) -> Collection:
    if path.is_dir():
        return _read_folder(path, faults, cutter)
    if path.is_file() and path.suffix.lower() in READERS:
        return read_documents(path, cutter(), faults)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return read_tables(path.stem, [("train", path)], faults)
    if path.is_file():
        what = f"files that end in {path.suffix or 'nothing'} are not understood"
        faults.error("unknown-format", path, what, EXPECTED)
    elif _is_path(source):
        faults.error("no-file", path, "there is no such file or folder", EXPECTED)
    else:
        return read_hub(source, faults)
    return Collection(path.stem, {}, {}, {})


def _is_path(source: str) -> bool:
    """Whether a name that is not there can only be meant as a path: a hub id is owner/name."""
    path = Path(source)
    named = (
        path.is_absolute()
        or path.suffix.lower() in SUFFIXES
        or source.startswith(".")
        or source.endswith("/")
    )
    return named or source.count("/") != 1 or path.parent.is_dir()


def _read_folder(folder: Path, faults: Faults, cutter: Callable[[], Cutter]) -> Collection:
    if is_saved_dataset(folder):
        return read_saved(folder, faults)
    if is_beir(folder):
        beside = [path.name for path in question_tables(folder) if path.name != "corpus.jsonl"]
        if is_corpus(folder) and beside:
            cure = (
                'To train on them, give one table, with a row {"positive": …} for each passage that nobody asks for; '
                "to test on them, give --test-queries."
            )
            what = f"questions beside a corpus.jsonl are not read with it: {', '.join(beside[:5])}"
            faults.warn("two-kinds", folder, what, cure)
        return read_beir(folder, faults)
    files = split_files(folder)
    if not files and (tables := question_tables(folder)):
        what = (
            f"its tables are not named after a split: {', '.join(path.name for path in tables[:5])}"
        )
        cure = "Give the one file itself, or name them train, dev and test; give documents in a folder of their own."
        faults.error("unnamed-tables", folder, what, cure)
    elif not files and document_files(folder):
        return read_documents(folder, cutter(), faults)
    elif not files:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
        faults.error(
            "unknown-format",
            folder,
            f"no data that is understood in this folder; found {found}",
            EXPECTED,
        )
    return read_tables(folder.resolve().name, files, faults)
