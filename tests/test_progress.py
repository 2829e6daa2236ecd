"""Progress goes to the display that is set; without one, a log line appears now and then."""

import time

from whet.progress import Bar, shown_on, track


class Recorder:
    """A display, and its only task, that records what it is given."""

    def __init__(self):
        self.events = []

    def start(self, name, total, done):
        self.events.append((name, total, done))
        return self

    def advance(self, by, note):
        self.events.append((by, note))

    def close(self):
        self.events.append("closed")


def test_a_line_needs_something_done_to_tell_the_time_left(monkeypatch, caplog):
    # The start, then four advances: a line at most every 15 s.
    now = iter([100.0, 120.0, 140.0, 141.0, 200.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    caplog.set_level("INFO", logger="whet")
    with Bar("work", total=10, done=2) as bar:
        for count, note in ((0, ""), (2, "fine"), (1, ""), (5, "")):
            bar.advance(count, note)
    assert caplog.messages == ["work 4/10, about 120 s left fine"]


def test_a_display_sees_every_item_and_is_taken_away_again():
    recorder = Recorder()
    with shown_on(recorder):
        assert list(track("ab", "letters", 2)) == ["a", "b"]
    with Bar("elsewhere", 1) as bar:
        bar.advance()
    assert recorder.events == [("letters", 2, 0), (1, ""), (1, ""), "closed"]


def test_a_bar_that_is_not_open_shows_nothing():
    recorder = Recorder()
    with shown_on(recorder):
        bar = Bar("work", 1)
        bar.advance()
        bar.close()
    assert recorder.events == []


def test_displays_nest():
    outer, inner = Recorder(), Recorder()
    with shown_on(outer):
        with shown_on(inner), Bar("in", 1):
            pass
        with Bar("out", 1):
            pass
    assert (outer.events[0], inner.events[0]) == (("out", 1, 0), ("in", 1, 0))
