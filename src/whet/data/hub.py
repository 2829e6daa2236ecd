"""Reads data sets of the Hugging Face `datasets` library: a folder that it saved, or an id on the hub."""

from itertools import chain
from pathlib import Path
from typing import Any

from whet.data.beir import Rows, of_rows
from whet.data.faults import Faults
from whet.data.judgements import SPLIT_ORDER, SPLITS
from whet.data.table import Table
from whet.records import Collection


def is_saved_dataset(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists()


def read_saved(folder: Path, faults: Faults) -> Collection:
    """Read a saved dataset; what is wrong with it goes to `faults`."""
    import datasets

    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError) as error:
        what = f"datasets cannot load it: {_first_line(error)}"
        faults.error("bad-dataset", folder, what, "Save it again with save_to_disk.")
        return Collection(folder.name, {}, {}, {})
    return _collection(folder.resolve().name, str(folder), data, faults)


def read_hub(identifier: str, faults: Faults) -> Collection:
    """Read a data set by its id on the hub; what is wrong with it goes to `faults`."""
    import datasets

    try:
        names = set(datasets.get_dataset_config_names(identifier))
        if names >= {"corpus", "queries"}:
            return _beir(identifier, names, faults)
        data = datasets.load_dataset(identifier)
    except Exception as error:  # noqa: BLE001  its own errors, its HTTP client's and the system's share no other base
        what = f"no such file or folder here, and not a data set that can be had from the hub: {_first_line(error)}"
        cure = (
            "Check the path. Without a network, load the data set where there is one, write it with "
            "dataset.save_to_disk('folder'), bring the folder here and give its path."
        )
        faults.error("no-dataset", identifier, what, cure)
        return Collection(identifier, {}, {}, {})
    return _collection(identifier, identifier, data, faults)


def _beir(identifier: str, names: set[str], faults: Faults) -> Collection:
    """Read a data set whose parts are corpus, queries and qrels, as BEIR, MTEB and NanoBEIR lie on the hub.

    Judgements are the part qrels or default, or a data set of their own named IDENTIFIER-qrels.
    """
    import datasets

    inside = next((name for name in ("qrels", "default") if name in names), None)
    judged = (
        datasets.load_dataset(identifier, inside)
        if inside
        else datasets.load_dataset(f"{identifier}-qrels")
    )
    qrels = {
        SPLITS[part]: _rows(f"{identifier}[{part}]", judged[part])
        for part in judged
        if part in SPLITS
    }
    if not qrels:
        what = f"no split of its qrels is named train, dev or test; found {', '.join(judged)}"
        faults.error(
            "no-split", identifier, what, "Load it yourself and write it as a BEIR folder."
        )
    corpus, queries = (
        chain.from_iterable(
            _rows(f"{identifier}[{kind}]", part)
            for part in datasets.load_dataset(identifier, kind).values()
        )
        for kind in ("corpus", "queries")
    )
    return of_rows(identifier, corpus, queries, qrels, faults)


def _rows(where: str, part: Any) -> Rows:
    for number, row in enumerate(part, start=1):
        yield f"{where}:row {number}", ({"_id": row["id"], **row} if "id" in row else dict(row))


def _collection(name: str, where: str, data: Any, faults: Faults) -> Collection:
    """Read a Dataset as a train split, or the splits of a DatasetDict by their names, others left out."""
    parts = dict(data) if isinstance(data, dict) else {"train": data}
    table = Table(faults)
    named = sorted(
        (part for part in parts if part in SPLITS), key=lambda part: SPLIT_ORDER.index(SPLITS[part])
    )
    if not named:
        what = f"no split is named train, dev or test; found {', '.join(map(str, parts))}"
        faults.error(
            "no-split", where, what, "Name the split to train on train, or save that split alone."
        )
    for part in named:
        rows = (
            (f"{where}[{part}]:row {number}", dict(row))
            for number, row in enumerate(parts[part], start=1)
        )
        table.read(SPLITS[part], rows)
    return table.collection(name)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
