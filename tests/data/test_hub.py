"""Data sets of the `datasets` library: saved ones, and those of the hub in one part or in three."""

import pytest

from data_files import PAIRS, PAIRS_BY_TEXT, Broken, assert_faults, by_text, cases, read_sound
from whet.data.faults import Faults
from whet.data.hub import read_hub
from whet.data.read import read
from whet.records import Passage


def test_saved_dataset_and_its_splits(tmp_path):
    from datasets import Dataset, DatasetDict

    Dataset.from_list(PAIRS).save_to_disk(tmp_path / "one")
    assert by_text(read_sound(tmp_path / "one")) == PAIRS_BY_TEXT
    parts = {"validation": Dataset.from_list(PAIRS[1:2]), "train": Dataset.from_list(PAIRS[:1])}
    DatasetDict(parts).save_to_disk(tmp_path / "two")
    collection = read_sound(tmp_path / "two")
    assert list(collection.qrels) == ["train", "dev"]
    assert by_text(collection)["qrels"]["dev"] == {"what cuts": {"knife": 1}}


def test_a_dataset_without_a_known_split_is_a_fault(tmp_path):
    from datasets import Dataset, DatasetDict

    DatasetDict({"all": Dataset.from_list(PAIRS)}).save_to_disk(tmp_path / "set")
    _, (fault,) = read(tmp_path / "set")
    assert (fault.kind, fault.where) == ("no-split", str(tmp_path / "set"))
    assert "found all" in fault.message


@cases(
    [
        Broken(
            "a damaged saved dataset",
            {"dataset_info.json": "{"},
            [("datasets cannot load it", "save_to_disk")],
        )
    ]
)
def test_broken_datasets(case, tmp_path):
    assert_faults(case, tmp_path)


def test_an_id_of_the_hub_without_a_network(monkeypatch, tmp_path):
    import datasets
    import huggingface_hub.constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    _, faults = read("whet-tests/there-is-no-such-set")
    assert [fault.kind for fault in faults] == ["no-dataset"]
    assert "no such file or folder here" in faults[0].message
    assert "save_to_disk" in faults[0].cure


@pytest.mark.parametrize(("part", "score"), [("qrels", False), ("default", True)])
def test_a_set_of_the_hub_in_three_parts(tmp_path, monkeypatch, part, score):
    """The layout of NanoBEIR (qrels, no score) and of MTEB (default, score), as a folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = {
        "corpus": [
            {"_id": "p1", "title": "One", "text": "first"},
            {"_id": "p2", "title": "", "text": "second"},
        ],
        "queries": [{"_id": "q1", "text": "which is first?"}],
        part: [{"query-id": "q1", "corpus-id": "p1"} | ({"score": 2} if score else {})],
    }
    folder = tmp_path / "NanoSet"
    head = ["---", "configs:"]
    for name, part_rows in rows.items():
        (folder / name).mkdir(parents=True)
        datasets.Dataset.from_list(part_rows).to_parquet(folder / name / "train-00000.parquet")
        head += [
            f"- config_name: {name}",
            "  data_files:",
            "  - split: train",
            f"    path: {name}/train-*",
        ]
    (folder / "README.md").write_text("\n".join([*head, "---", ""]))
    faults = Faults()
    collection = read_hub(str(folder), faults)
    assert not list(faults)
    assert collection.passages == {
        "p1": Passage("p1", "first", "One"),
        "p2": Passage("p2", "second", ""),
    }
    assert collection.queries == {"q1": "which is first?"}
    assert collection.qrels == {"train": {"q1": {"p1": 2 if score else 1}}}
