"""`whet audit`: what may be false negatives, for people and as one object."""

import json


def test_an_audit_prints_its_summary_and_where_it_is(whet, copied):
    ended = whet("audit", copied, "--json", "--quiet")
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout)
    assert (result["stage"], result["folder"]) == ("audit", str(copied / "audit"))
    assert list(result)[2:] == ["candidates", "suspects", "share"]
    shown = whet("audit", copied)
    assert shown.returncode == 0
    assert f"{result['candidates']:,} candidates" in shown.stdout
