"""`whet check`: its findings are its result, on stdout."""

import json


def test_findings_go_to_stdout_and_nothing_else_to_stderr(whet, finished):
    ended = whet("check", finished)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "passages" in ended.stdout


def test_faults_are_the_result_for_people_and_as_json(whet, broken_data, tmp_path):
    shown = whet("check", broken_data, "--out", tmp_path / "run")
    assert (shown.returncode, shown.stderr) == (2, "")
    assert "queries.jsonl:1" in shown.stdout
    ended = whet("check", broken_data, "--out", tmp_path / "run", "--json")
    assert (ended.returncode, ended.stderr) == (2, "")
    result = json.loads(ended.stdout)
    assert result["stage"] == "check"
    assert result["faults"][0]["where"].endswith("queries.jsonl:1")
