"""Data sets of the hub: what is not there is told clearly, paths are not looked for there, sets in three parts read."""

import pytest

from whet.data.faults import Faults
from whet.data.hub import read_hub
from whet.data.read import read
from whet.records import Passage


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
    for name, found in rows.items():
        (folder / name).mkdir(parents=True)
        datasets.Dataset.from_list(found).to_parquet(folder / name / "train-00000.parquet")
        head += [
            f"- config_name: {name}",
            "  data_files:",
            "  - split: train",
            f"    path: {name}/train-*",
        ]
    (folder / "README.md").write_text("\n".join([*head, "---", ""]))
    faults = Faults()
    found = read_hub(str(folder), faults)
    assert not list(faults)
    assert found.passages == {
        "p1": Passage("p1", "first", "One"),
        "p2": Passage("p2", "second", ""),
    }
    assert (found.queries, found.qrels) == (
        {"q1": "which is first?"},
        {"train": {"q1": {"p1": 2 if score else 1}}},
    )


@pytest.mark.parametrize(
    "source", ["folder", "folder/", "here/folder", "a/b/c", "./a", "folder.jsonl"]
)
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch, tmp_path, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("whet.data.read.read_hub", None)
    (tmp_path / "here").mkdir()
    _, faults = read(source)
    assert [fault.kind for fault in faults] == ["no-file"]
