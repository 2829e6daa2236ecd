"""Reads data sets of the Hugging Face `datasets` library: a folder that it saved, or a hub id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whet.data.beir import collection_of_rows
from whet.data.faults import Faults
from whet.data.judgements import SPLITS, split_rank
from whet.data.lines import Row
from whet.data.table import Table
from whet.records import Collection


def is_saved_dataset(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    names = ("dataset_dict.json", "dataset_info.json")
    return any((folder / name).exists() for name in names)


def read_saved(folder: Path, faults: Faults) -> Collection:
    """Read a saved dataset; what is wrong with it goes to `faults`."""
    import datasets

    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError) as error:
        faults.error(
            "bad-dataset",
            folder,
            f"datasets cannot load it: {_first_line(error)}",
            "Save it again with save_to_disk.",
        )
        return Collection(folder.name, {}, {}, {})
    return _read_tables(folder.resolve().name, str(folder), data, faults)


def read_hub(identifier: str, faults: Faults) -> Collection:
    """Read a data set by its id on the hub; what is wrong with it goes to `faults`."""
    import datasets

    try:
        configs = set(datasets.get_dataset_config_names(identifier))
        if configs >= {"corpus", "queries"}:
            return _read_beir(identifier, configs, faults)
        data = datasets.load_dataset(identifier)
    # Its own errors, its HTTP client's and the system's share no other base.
    except Exception as error:  # noqa: BLE001
        message = (
            "no such file or folder here, and not a data set that the hub gives: "
            f"{_first_line(error)}"
        )
        cure = (
            "Check the path. Without a network: load the data set on a machine that has one, "
            "write it with dataset.save_to_disk('folder'), copy the folder here and give its path."
        )
        faults.error(
            "no-dataset",
            identifier,
            message,
            cure,
        )
        return Collection(identifier, {}, {}, {})
    return _read_tables(identifier, identifier, data, faults)


def _read_beir(identifier: str, configs: set[str], faults: Faults) -> Collection:
    """Read a data set with the configs corpus and queries, as BEIR, MTEB and NanoBEIR have them.

    Judgements are the config qrels or default, or a data set of their own, IDENTIFIER-qrels.
    """
    import datasets

    # NanoBEIR has qrels, MTEB has default, BEIR has a second data set.
    if "qrels" in configs:
        judgements = datasets.load_dataset(identifier, "qrels")
    elif "default" in configs:
        judgements = datasets.load_dataset(identifier, "default")
    else:
        judgements = datasets.load_dataset(f"{identifier}-qrels")
    qrels = {}
    for name, rows in judgements.items():
        if name in SPLITS:
            qrels[SPLITS[name]] = _rows_with_id(f"{identifier}[{name}]", rows)
    if not qrels:
        listed = ", ".join(judgements)
        faults.error(
            "no-split",
            identifier,
            f"no split of its qrels is named train, dev or test; found {listed}",
            "Load it yourself and write it as a BEIR folder.",
        )
    corpus = _config_rows(identifier, "corpus")
    queries = _config_rows(identifier, "queries")
    return collection_of_rows(identifier, corpus, queries, qrels, faults)


def _config_rows(identifier: str, config: str) -> Iterator[Row]:
    """The rows of all splits of one config."""
    import datasets

    for rows in datasets.load_dataset(identifier, config).values():
        yield from _rows_with_id(f"{identifier}[{config}]", rows)


def _rows_with_id(where: str, dataset: Any) -> Iterator[Row]:
    """The rows of one split, with the column `id` as `_id`, if there is one."""
    for place, row in _rows(where, dataset):
        if "id" in row:
            row = {"_id": row["id"], **row}
        yield place, row


def _rows(where: str, dataset: Any) -> Iterator[Row]:
    """The rows of one split, counted from 1."""
    for number, row in enumerate(dataset, start=1):
        yield f"{where}:row {number}", dict(row)


def _read_tables(
    name: str,
    where: str,
    data: Any,
    faults: Faults,
) -> Collection:
    """Read a Dataset as a train split, or the splits of a DatasetDict that have known names."""
    splits = dict(data) if isinstance(data, dict) else {"train": data}
    split_names = [split for split in splits if split in SPLITS]
    if not split_names:
        listed = ", ".join(map(str, splits))
        faults.error(
            "no-split",
            where,
            f"no split is named train, dev or test; found {listed}",
            "Name the split to train on train, or save that split alone.",
        )
    table = Table(faults)
    for split in sorted(split_names, key=split_rank):
        rows = _rows(f"{where}[{split}]", splits[split])
        table.read(SPLITS[split], rows)
    return table.collection(name)


def _first_line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text.splitlines()[0]
