from whet.report.wording import excerpt


def test_an_excerpt_is_cut_at_a_word():
    assert excerpt("word " * 100, limit=20) == "word word word …"
    assert excerpt("x" * 50, limit=20) == "x" * 19 + " …"
