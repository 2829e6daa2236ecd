"""`whet mine`: its files are the same bytes in every process."""


def test_files_are_the_same_bytes_under_another_hash_seed(whet, finished, options, tmp_path):
    """The shared run was made under hash seed 0; this process has another."""
    assert whet("mine", *options(tmp_path / "run"), "--quiet").returncode == 0
    for name in ("negatives.jsonl", "summary.json"):
        again = (tmp_path / "run" / "mine" / name).read_bytes()
        assert again == (finished / "mine" / name).read_bytes()
    names = {path.name for path in (finished / "mine").iterdir()}
    assert names == {"negatives.jsonl", "summary.json", "manifest.json"}


def test_more_negatives_need_one_option(whet, tiny_data, tiny_model, record, tmp_path):
    run = tmp_path / "run"
    typed = ["--model", tiny_model, "--out", run, "--negatives", "6", "--quiet"]
    assert whet("mine", tiny_data, *typed).returncode == 0
    resolved = record(run)["resolved"]
    assert (resolved["train"]["negatives"], resolved["mine"]["negatives"]) == (6, 6)
