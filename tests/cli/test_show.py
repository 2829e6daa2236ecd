"""What verbs print to stdout: one object for programs, and for people no line broken in a word."""

import json

import pytest

from whet.cli.show import show_findings, show_json, show_lines, show_suspects
from whet.teach.audit import AuditSummary, Suspect

VERBS = {
    "check": ["check"],
    "mine": ["mine"],
    "generate": ["generate", "reverse"],
    "teach": ["teach"],
    "train": ["train"],
}


@pytest.mark.parametrize("stage", VERBS)
def test_every_stage_has_a_verb_that_prints_one_object(whet, finished, stage):
    ended = whet(*VERBS[stage], finished, "--json", "--quiet")
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout)
    assert (result["stage"], result["folder"]) == (stage, str(finished / stage))
    assert len(result) > 2


@pytest.mark.parametrize("stage", ["mine", "generate", "teach", "train"])
def test_people_get_the_files_of_a_stage(whet, finished, stage):
    lines = whet(*VERBS[stage], finished).stdout.splitlines()
    assert lines == sorted(str(path) for path in (finished / stage).glob("*.json*"))


def test_lines_are_printed_as_they_are(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    text = "find [bold]files[/bold] [/] :smile: with a line longer than the terminal"
    show_lines([text])
    show_json({"text": text})
    assert capfd.readouterr().out.splitlines() == [text, json.dumps({"text": text})]


def test_findings_are_whole_lines_in_a_file(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    lines = ["train: 125 queries, 125 positives", "warning: 3 texts are [cut] after 64 tokens"]
    show_findings(lines)
    assert capfd.readouterr().out.splitlines() == lines


SUSPECT = Suspect(
    "q1", "p7", 0.875, 3, "how [to] sort", "sorted() " * 40, {"base": 0.9}, {"base": 0.8}
)


def test_suspects_come_with_what_to_do_next(capfd, tmp_path):
    show_suspects(tmp_path, AuditSummary(candidates=2_000, suspects=12), [SUSPECT] * 12)
    shown = capfd.readouterr().out
    assert shown.count("88 %  how [to] sort") == 10
    assert "base rank 3; base 0.9 (known answer 0.8)" in shown
    assert "12 may be false negatives, 0.6 % of 2,000 candidates" in shown
    assert f"train    whet tune {tmp_path} --labels {tmp_path}/audit/suspects.csv" in shown


def test_no_suspect_is_one_line(capfd, tmp_path):
    show_suspects(tmp_path, AuditSummary(candidates=2_000, suspects=0), [])
    assert capfd.readouterr().out == "none of 2,000 candidates looks like an unmarked answer\n"
