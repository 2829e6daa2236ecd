"""`whet clean`: what a run can compute again goes, and nothing else."""


def files(run):
    return {path.relative_to(run) for path in run.rglob("*") if path.is_file()}


def test_vectors_go_and_the_rest_stays(whet, copied):
    before = files(copied)
    size = sum(path.stat().st_size for path in (copied / "vectors").iterdir())
    ended = whet("clean", copied)
    assert ended.returncode == 0
    assert ended.stdout == f"{size / 2**20:,.1f} MiB freed in {copied}\n"
    assert size > 0
    assert {path.parts[0] for path in before - files(copied)} == {"vectors"}


def test_checkpoints_of_an_interrupted_training_go(whet, copied):
    assert whet("clean", copied).returncode == 0
    for checkpoint in ("scratch/checkpoint-1", "refresh/round-1/scratch/model"):
        folder = copied / "train.partial" / checkpoint
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes(2**20))
    ended = whet("clean", copied)
    assert ended.stdout == (
        f"2.0 MiB freed in {copied}; what was interrupted there starts from its beginning\n"
    )
    assert not [path for path in (copied / "train.partial").rglob("*") if path.is_file()]


def test_only_a_run_is_cleaned(whet, tmp_path):
    ended = whet("clean", tmp_path)
    assert ended.returncode == 2
    assert "is not a run of whet" in ended.stderr
