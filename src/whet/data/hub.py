"""Reads data sets of the Hugging Face `datasets` library: a folder that it saved, or an id on the hub."""

from pathlib import Path
from typing import Any

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


def _collection(name: str, where: str, data: Any, faults: Faults) -> Collection:
    """Read a Dataset as a train split, or the splits of a DatasetDict by their names, others left out."""
    parts = dict(data) if isinstance(data, dict) else {"train": data}
    table = Table(faults)
    named = sorted((part for part in parts if part in SPLITS), key=lambda part: SPLIT_ORDER.index(SPLITS[part]))
    if not named:
        what = f"no split is named train, dev or test; found {', '.join(map(str, parts))}"
        faults.error("no-split", where, what, "Name the split to train on train, or save that split alone.")
    for part in named:
        rows = ((f"{where}[{part}]:row {number}", dict(row)) for number, row in enumerate(parts[part], start=1))
        table.read(SPLITS[part], rows)
    return table.collection(name)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
