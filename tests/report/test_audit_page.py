"""The page for marking suspects: one entry for each, every text escaped."""

from whet.report.audit_page import render_audit_page
from whet.teach.audit import Suspect


def test_every_suspect_is_shown_and_texts_are_escaped():
    suspects = [
        Suspect("q1", "p1", 0.875, 1, "is <b> allowed?", "no & never", {"t": 1}, {"t": 2}),
        Suspect("q2", "p2", 0.5, 2, "second", "text", {"t": 1}, {"t": 2}),
    ]
    page = render_audit_page("my <data>", suspects, {"q1": "the <answer>", "q2": "other"})
    assert page.count("<article") == 2
    assert 'data-query="q1" data-passage="p1"' in page
    assert "is &lt;b&gt; allowed?" in page
    assert "no &amp; never" in page
    assert "the &lt;answer&gt;" in page
    assert "my &lt;data&gt;" in page
    assert "suspected, 88 %" in page
    assert "<b> allowed" not in page


def test_a_page_without_suspects():
    assert "<article" not in render_audit_page("data", [], {})
