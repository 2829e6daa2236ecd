"""Off a terminal a bar is a plain line now and then, and what is known of the time left is said."""

import time

from whet import progress
from whet.progress import Bar


def test_a_line_needs_something_done_to_tell_the_time_left(monkeypatch, capsys):
    now = iter(
        [100.0, 120.0, 140.0, 141.0, 200.0]
    )  # made, then four advances; a line at most every 15 s
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress.console, "quiet", False)
    bar = Bar("work", total=10, done=2)
    for count, note in ((0, ""), (2, "fine"), (1, ""), (5, "")):
        bar.advance(count, note)
    assert capsys.readouterr().err == "work 4/10, about 120 s left fine\n"
