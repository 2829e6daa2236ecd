"""`whet report`: the page of a finished run is written again, and its place printed."""


def test_it_prints_where_the_page_is(whet, finished):
    assert whet("report", finished).stdout == f"{finished / 'report' / 'index.html'}\n"


def test_it_needs_a_run(whet, tmp_path):
    ended = whet("report", tmp_path / "new")
    assert ended.returncode == 2
    assert "is not a run of whet" in ended.stderr
