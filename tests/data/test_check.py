"""The check finds what was planted, finds nothing in sound data, and its speed does not explode."""

import time

import numpy as np
import pytest

from whet.data.check import MIN_QUERIES, check
from whet.data.check_report import SplitSize
from whet.data.read import read
from whet.errors import Fault
from whet.records import Collection, Passage

RNG = np.random.default_rng(5)
WORDS = np.array([f"word{n}" for n in range(5000)])


def words(rng, count):
    return " ".join(rng.choice(WORDS, count))


@pytest.fixture
def parts():
    """Parts of a sound collection.

    90 passages of 60 words, a query of 6 words each, 20 queries in train, 20 in dev, 50 in test.
    """
    rng = np.random.default_rng(7)
    passages = {f"p{n}": words(rng, 60) for n in range(90)}
    queries = {f"q{n}": words(rng, 6) for n in range(90)}
    ranges = {"train": range(20), "dev": range(20, 40), "test": range(40, 90)}
    qrels = {split: {f"q{n}": {f"p{n}": 1} for n in numbers} for split, numbers in ranges.items()}
    return passages, queries, qrels


def report(passages, queries, qrels, **settings):
    records = {name: Passage(name, text) for name, text in passages.items()}
    return check(Collection("planted", records, queries, qrels), **settings)


def kinds(checked):
    return [fault.kind for fault in checked.faults]


def test_sound_data_has_no_faults(parts):
    checked = report(*parts)
    assert checked.faults == ()
    assert (
        checked.duplicate_passages,
        checked.duplicate_queries,
        checked.near_duplicates,
        checked.leaks,
    ) == (0, 0, (), ())
    assert checked.splits["train"] == SplitSize(queries=20, positives=20)
    assert checked.truncated is None


def test_swapped_columns(parts):
    passages, queries, qrels = parts
    swapped = report(
        {f"p{n}": queries[f"q{n}"] for n in range(90)},
        {f"q{n}": passages[f"p{n}"] for n in range(90)},
        qrels,
    )
    assert kinds(swapped) == ["swapped-columns"]
    assert swapped.faults[0].level == "warning"


def test_exact_duplicates(parts):
    passages, queries, qrels = parts
    checked = report(
        passages | {"again": passages["p3"].upper() + " "},
        queries | {"again": queries["q4"]},
        qrels,
    )
    assert kinds(checked) == ["duplicate-passage", "duplicate-query"]
    assert (checked.duplicate_passages, checked.duplicate_queries) == (1, 1)
    assert "passage again is p3" in checked.faults[0].message


def test_near_duplicates(parts):
    passages, queries, qrels = parts
    checked = report(passages | {"again": passages["p3"] + " and one more"}, queries, qrels)
    assert kinds(checked) == ["near-duplicate"]
    (near,) = checked.near_duplicates
    assert (near.id, near.other) == ("again", "p3")
    assert near.overlap == pytest.approx(58 / 61, abs=1e-4)


def test_leaks_of_queries_and_passages(parts):
    passages, queries, qrels = parts
    passages["p47"] = passages["p2"].removesuffix(passages["p2"].split()[-1]) + "changed"
    queries["q48"] = queries["q3"] + "?"
    qrels["test"]["q49"]["p4"] = 2
    checked = report(passages, queries, qrels)
    assert kinds(checked) == ["near-duplicate", "leaking-query", "leaking-passage"]
    assert [(leak.kind, leak.split, leak.id, leak.other) for leak in checked.leaks] == [
        ("query", "test", "q48", "q3"),
        ("passage", "test", "p47", "p2"),
        ("passage", "test", "p4", "p4"),
    ]
    assert "1 of 50 test queries are nearly training queries, like q48" in checked.faults[1].message
    assert "2 of 51 test positives are nearly training positives" in checked.faults[2].message


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"dev": 20, "test": 50}, []),
        ({"dev": 20, "test": 49}, ["small-test"]),
        ({"dev": 19, "test": 50}, ["small-dev"]),
        ({"dev": 1, "test": 1}, ["small-dev", "small-test"]),
        ({"train": 10}, []),
        ({"train": 9}, ["small-train"]),
        ({}, []),
    ],
)
def test_splits_too_small_for_a_verdict(parts, sizes, expected):
    passages, queries, qrels = parts
    cut = {split: dict(list(qrels[split].items())[:size]) for split, size in sizes.items()}
    checked = report(passages, queries, {"train": qrels["train"]} | cut)
    assert kinds(checked) == expected
    assert {fault.level for fault in checked.faults} <= {"warning"}
    for fault in checked.faults:
        split = fault.kind.removeprefix("small-")
        assert (
            f"{sizes[split]} {split} queries, expected {MIN_QUERIES[split]} or more"
            in fault.message
        )


def test_truncation(parts):
    passages, queries, qrels = parts
    passages["p0"] += " " + words(RNG, 30)
    checked = report(
        passages,
        queries,
        qrels,
        token_lengths=lambda texts: [len(t.split()) for t in texts],
        max_length=60,
    )
    assert kinds(checked) == ["truncated"]
    assert checked.truncated == pytest.approx(1 / 90)
    assert (
        "1.1% of the passages are longer than the 60 tokens that are read"
        in checked.faults[0].message
    )


def test_faults_of_reading_come_first(parts):
    passages, queries, qrels = parts
    earlier = Fault("bad-json", "corpus.jsonl:3", "not valid JSON", "Write one object a line.")
    checked = report(passages | {"again": passages["p3"]}, queries, qrels, faults=[earlier])
    assert kinds(checked) == ["bad-json", "duplicate-passage"]


def test_large_collections_are_sampled_and_say_so(parts, monkeypatch):
    monkeypatch.setattr("whet.data.check.MAX_COMPARED", 25)
    monkeypatch.setattr("whet.data.check.MAX_MEASURED", 10)
    passages, queries, qrels = parts
    settings = {"token_lengths": lambda texts: [len(texts)] * len(texts), "max_length": 9}
    few_trained = {"test": qrels["test"], "train": qrels["dev"]}
    checked = report(passages, queries, few_trained, **settings)
    assert checked.truncated == 1.0
    assert checked.notes == (
        "near-duplicates: 25 of 90 passages compared, "
        "those that answer test and dev queries first, then those of train",
        "20 of 90 queries are judged in no split, and not used",
        "truncation: 10 of 90 passages measured",
    )
    assert report(passages, queries, few_trained, **settings) == checked


def test_time_grows_with_the_number_of_texts_not_its_square():
    """Texts of one template, all near one another: the worst case for comparing pairs."""

    def seconds(count):
        rng = np.random.default_rng(count)
        template = words(rng, 60)
        passages = {f"p{n}": f"{template} {words(rng, 12)}" for n in range(count)}
        start = time.process_time()
        report(passages, {}, {})
        return time.process_time() - start

    seconds(100)
    small = seconds(250)
    large = seconds(2000)
    assert large < 8 * 4 * small


@pytest.mark.parametrize(
    ("name", "limit", "others"),
    [
        ("integreat_en", 10, {"duplicate-passage"}),
        pytest.param("medquad", 40, set(), marks=pytest.mark.slow),
    ],
)
def test_real_sets_are_checked_well_within_a_minute(shared, name, limit, others):
    collection, faults = read(shared(name))
    start = time.process_time()
    checked = check(collection, faults=faults)
    assert time.process_time() - start < limit
    assert set(kinds(checked)) == {"near-duplicate", "leaking-query", "leaking-passage"} | others
    assert checked.notes == ()


def test_held_out_texts_are_compared_however_many_are_trained_on(monkeypatch):
    monkeypatch.setattr("whet.data.check.MAX_COMPARED", 8)
    rng = np.random.default_rng(3)
    passages = {f"p{n}": Passage(f"p{n}", words(rng, 40)) for n in range(20)}
    passages["copy"] = Passage("copy", f"{passages['p0'].text} and so on")
    queries = {f"q{n}": words(rng, 8) for n in range(20)} | {"qt": "another question"}
    train = {f"q{n}": {f"p{n}": 1} for n in range(20)}
    qrels = {"train": train, "test": {"qt": {"copy": 1}}}
    checked = check(Collection("c", passages, queries, qrels))
    leaks = [(near.id, near.other) for near in checked.leaks if near.kind == "passage"]
    assert leaks == [("copy", "p0")]
