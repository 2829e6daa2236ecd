"""`whet train`: a hopeless training ends with 1."""


def test_a_hopeless_training_ends_with_1(whet, options, tmp_path):
    ended = whet("train", *options(tmp_path / "run"), "--learning-rate", "1e30", "--quiet")
    assert ended.returncode == 1, ended.stderr
    assert "error the loss is " in ended.stderr
    assert "checkpoint" in ended.stderr
    assert "Traceback" not in ended.stderr
