"""Reads whatever the user has as one Collection, or names every fault of it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from whet.data.beir import is_beir, is_corpus, read_beir
from whet.data.cut import Cutter, read_documents
from whet.data.documents import READERS, document_files
from whet.data.faults import Faults
from whet.data.files import TABLE_SUFFIXES
from whet.data.hub import is_saved_dataset, read_hub, read_saved
from whet.data.split import SplitSummary, with_splits
from whet.data.table import query_tables, read_tables, split_files
from whet.errors import Fault, raise_errors
from whet.files import rolling_digest
from whet.records import Collection

logger = logging.getLogger(__name__)

MAX_LOGGED_WARNINGS = 10
MAX_NAMES_IN_MESSAGE = 5

EXPECTED = (
    "Give a BEIR folder (corpus.jsonl, queries.jsonl, qrels/train.tsv), "
    "one table with a query and a positive column "
    f"({', '.join(TABLE_SUFFIXES)}), a folder with train/dev/test tables, a saved dataset, "
    "a data set id of the hub, or documents to generate queries for "
    f"({', '.join(READERS)})."
)

CHARACTERS_PER_TOKEN = 4  # of English prose, about


def _estimated_tokens(texts: Sequence[str]) -> list[int]:
    return [len(text) // CHARACTERS_PER_TOKEN for text in texts]


DEFAULT_CUTTER = Cutter(_estimated_tokens, 200)
"""How documents are cut where no model says how long they are."""


def load(source: str | Path | Collection, *, split_seed: int = 13) -> Collection:
    """Read retrieval data, and make the train, dev and test splits that it lacks.

    `source` is one of:

    - a BEIR folder;
    - a .jsonl, .json, .csv, .tsv or .parquet file with columns query and positive (or what others
      call them), perhaps negatives and their queries;
    - a folder with such files named train, dev and test;
    - a folder that `datasets` saved;
    - a data set id of the Hugging Face hub.

    See `with_splits` for the splits. Warnings are logged. Raises DataError with every fault if any
    of them is an error.
    """
    collection = source if isinstance(source, Collection) else _read_usable(source)
    split, summary = with_splits(collection, seed=split_seed)
    _log_splits(split.name, summary)
    return split


def _read_usable(source: str | Path) -> Collection:
    """Read data that has no error-level fault; its warnings are logged."""
    collection, faults = read(source)
    raise_errors(faults)
    for fault in faults[:MAX_LOGGED_WARNINGS]:
        logger.warning(str(fault))
    hidden_count = len(faults) - MAX_LOGGED_WARNINGS
    if hidden_count > 0:
        logger.warning(f"… and {hidden_count} more warnings; `whet check` lists them all")
    return collection


def _log_splits(name: str, summary: SplitSummary) -> None:
    if summary.made:
        sizes = ", ".join(f"{split} {count}" for split, count in summary.queries.items())
        new_splits = " and ".join(summary.made)
        logger.info(f"{new_splits} made from train by passage group; queries: {sizes}")
    for split, count in summary.trained_positives.items():
        if count:
            overlap = f"{count} passages that answer {split} queries"
            message = f"{overlap} are positives of training queries too; see `whet check`"
            logger.warning(f"{name}: {message}")


def read(
    source: str | Path, cutter: Callable[[], Cutter] = lambda: DEFAULT_CUTTER
) -> tuple[Collection, tuple[Fault, ...]]:
    """Read data as it stands, with the splits that it has.

    Returns what could be read, and all faults, errors and warnings, in reading order. Documents and
    a corpus alone, or with test queries alone, have no train split. `cutter` says how documents are
    cut.
    """
    faults = Faults()
    collection = _read_any(str(source), Path(source), faults, cutter)
    positive_count = sum(len(collection.positives(split)) for split in collection.qrels)
    # A corpus without judgements is fine: queries can be generated for it.
    has_judgements = any(collection.qrels.values())
    has_nothing = not collection.passages and not faults
    if not positive_count and (has_judgements or has_nothing):
        faults.error(
            "no-positives",
            source,
            "no query has a relevant passage",
            "Judge at least one passage per query with 1 or more.",
        )
    return collection, tuple(faults)


def content_fingerprint(collection: Collection) -> str:
    """Hash of texts, judgements, given negatives and positive queries: 40 hex digits.

    The order of passages and queries counts.
    """
    return rolling_digest(_content_parts(collection))


def _content_parts(collection: Collection) -> Iterator[object]:
    """What the fingerprint covers, in its order, which must not change: runs store fingerprints."""
    for passage in collection.passages.values():
        yield passage.id, passage.title, passage.text
    yield len(collection.passages)
    yield from collection.queries.items()
    yield dict(collection.qrels)
    yield {query: list(passages) for query, passages in collection.negatives.items()}
    yield {passage: list(texts) for passage, texts in collection.positive_queries.items()}


def _read_any(
    source: str,
    path: Path,
    faults: Faults,
    cutter: Callable[[], Cutter],
) -> Collection:
    if path.is_dir():
        return _read_folder(path, faults, cutter)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in READERS:
        return read_documents(path, cutter(), faults)
    if path.is_file() and suffix in TABLE_SUFFIXES:
        return read_tables(path.stem, [("train", path)], faults)
    if path.is_file():
        faults.error(
            "unknown-format",
            path,
            f"files that end in {path.suffix or 'nothing'} are not understood",
            EXPECTED,
        )
    elif _is_path(source):
        faults.error(
            "no-file",
            path,
            "there is no such file or folder",
            EXPECTED,
        )
    else:
        return read_hub(source, faults)
    return Collection(path.stem, {}, {}, {})


def _is_path(source: str) -> bool:
    """Whether a name that does not exist can only be meant as a path: a hub id is owner/name."""
    path = Path(source)
    if path.is_absolute() or path.suffix.lower() in TABLE_SUFFIXES:
        return True
    if source.startswith(".") or source.endswith("/"):
        return True
    return source.count("/") != 1 or path.parent.is_dir()


def _read_folder(folder: Path, faults: Faults, cutter: Callable[[], Cutter]) -> Collection:
    if is_saved_dataset(folder):
        return read_saved(folder, faults)
    if is_beir(folder):
        _warn_of_unread_tables(folder, faults)
        return read_beir(folder, faults)
    files = split_files(folder)
    if not files:
        tables = query_tables(folder)
        if tables:
            _add_unnamed_tables(folder, tables, faults)
        elif document_files(folder):
            return read_documents(folder, cutter(), faults)
        else:
            _add_unknown_folder(folder, faults)
    return read_tables(folder.resolve().name, files, faults)


def _warn_of_unread_tables(folder: Path, faults: Faults) -> None:
    """Warn of tables with queries beside a corpus.jsonl without queries."""
    if not is_corpus(folder):
        return
    tables = query_tables(folder)
    names = [path.name for path in tables if path.name != "corpus.jsonl"]
    if names:
        listed = ", ".join(names[:MAX_NAMES_IN_MESSAGE])
        cure = (
            'To train on them, give one table, with a row {"positive": …} for each passage '
            "without a query. To test on them, give --test-queries."
        )
        faults.warn(
            "two-kinds",
            folder,
            f"tables of queries beside a corpus.jsonl are not read: {listed}",
            cure,
        )


def _add_unnamed_tables(folder: Path, tables: list[Path], faults: Faults) -> None:
    listed = ", ".join(path.name for path in tables[:MAX_NAMES_IN_MESSAGE])
    cure = (
        "Give the one file itself, or name them train, dev and test; "
        "give documents in a folder of their own."
    )
    faults.error(
        "unnamed-tables",
        folder,
        f"its tables are not named after a split: {listed}",
        cure,
    )


def _add_unknown_folder(folder: Path, faults: Faults) -> None:
    names = sorted(entry.name for entry in folder.iterdir())
    listed = ", ".join(names[:10]) or "nothing"
    faults.error(
        "unknown-format",
        folder,
        f"no data that is understood in this folder; found {listed}",
        EXPECTED,
    )
