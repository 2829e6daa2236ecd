"""The form of queries: lengths, capitals and end marks, where most queries share them."""

import numpy as np

from whet.generate.form import MIN_QUERIES, Form


def test_few_queries_have_no_form():
    assert Form.of(["when is it open"] * (MIN_QUERIES - 1)) is None
    assert Form.of(["when is it open"] * (MIN_QUERIES - 1) + ["…"]) is None
    assert Form.of(["when is it open"] * MIN_QUERIES) is not None


def test_looks_are_taken_over_where_most_queries_share_them():
    plain = Form.of(["when is it open"] * 8 + ["When is it open?"] * 2)
    assert plain.apply("It is Open.") == "it is open"
    assert plain.apply("Is it?!") == "is it"
    mixed = Form.of(["when is it open"] * 7 + ["When is it open?"] * 3)
    assert mixed.apply("Is it?!") == "Is it?!"


def test_a_script_without_capitals_says_nothing_of_them():
    form = Form.of(["大仏はどこにありますか"] * MIN_QUERIES)
    assert form.apply("NHKは何ですか。") == "NHKは何ですか"


def test_usual_lengths_leave_out_a_tenth_at_either_end():
    form = Form.of([" ".join(["word"] * length) for length in range(1, 12)])
    assert (form.shortest, form.longest) == (2, 10)
    assert form.has_usual_length("word " * 2)
    assert not form.has_usual_length("word")
    rng = np.random.default_rng(0)
    assert {form.draw_length(rng) for _ in range(200)} == set(range(1, 12))
