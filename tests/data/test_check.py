"""The check finds what was planted, finds nothing in sound data, and its speed does not explode."""

import json
import time

import numpy as np
import pytest

from whet.data.check import FEWEST, check
from whet.data.near import NearIndex, character_shingles, jaccard, sketches, word_shingles
from whet.data.read import read
from whet.errors import Fault
from whet.records import Collection, Passage

RNG = np.random.default_rng(5)
WORDS = np.array([f"word{n}" for n in range(5000)])


def words(rng, count):
    return " ".join(rng.choice(WORDS, count))


@pytest.fixture
def parts():
    """Parts of a sound collection: 90 passages of 60 words, a query of 6 words each, split 20/20/50."""
    rng = np.random.default_rng(7)
    passages = {f"p{n}": words(rng, 60) for n in range(90)}
    queries = {f"q{n}": words(rng, 6) for n in range(90)}
    ranges = {"train": range(20), "dev": range(20, 40), "test": range(40, 90)}
    qrels = {split: {f"q{n}": {f"p{n}": 1} for n in numbers} for split, numbers in ranges.items()}
    return passages, queries, qrels


def report(passages, queries, qrels, **settings):
    made = {name: Passage(name, text) for name, text in passages.items()}
    return check(Collection("planted", made, queries, qrels), **settings)


def kinds(found):
    return [fault.kind for fault in found.faults]


def test_sound_data_has_no_faults(parts):
    found = report(*parts)
    assert found.faults == ()
    assert (
        found.duplicate_passages,
        found.duplicate_queries,
        found.near_duplicates,
        found.leaks,
    ) == (0, 0, (), ())
    assert found.splits["train"] == {"queries": 20, "positives": 20}
    assert found.truncated is None
    assert found.lines()[0] == "planted: 90 passages, 90 queries"
    assert "nothing to complain about" in found.lines()


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
    found = report(
        passages | {"again": passages["p3"].upper() + " "},
        queries | {"again": queries["q4"]},
        qrels,
    )
    assert kinds(found) == ["duplicate-passage", "duplicate-query"]
    assert (found.duplicate_passages, found.duplicate_queries) == (1, 1)
    assert "passage again is p3" in found.faults[0].message


def test_near_duplicates(parts):
    passages, queries, qrels = parts
    found = report(passages | {"again": passages["p3"] + " and one more"}, queries, qrels)
    assert kinds(found) == ["near-duplicate"]
    (near,) = found.near_duplicates
    assert (near.id, near.other) == ("again", "p3")
    assert near.overlap == pytest.approx(58 / 61, abs=1e-4)


def test_leaks_of_queries_and_passages(parts):
    passages, queries, qrels = parts
    passages["p47"] = passages["p2"].removesuffix(passages["p2"].split()[-1]) + "changed"
    queries["q48"] = queries["q3"] + "?"
    qrels["test"]["q49"]["p4"] = 2
    found = report(passages, queries, qrels)
    assert kinds(found) == ["near-duplicate", "leaking-query", "leaking-passage"]
    assert [(leak.kind, leak.split, leak.id, leak.other) for leak in found.leaks] == [
        ("query", "test", "q48", "q3"),
        ("passage", "test", "p47", "p2"),
        ("passage", "test", "p4", "p4"),
    ]
    assert "1 of 50 test queries are nearly training queries, like q48" in found.faults[1].message
    assert "2 of 51 test positives are nearly training positives" in found.faults[2].message


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
    found = report(passages, queries, {"train": qrels["train"]} | cut)
    assert kinds(found) == expected
    assert {fault.level for fault in found.faults} <= {"warning"}
    for fault in found.faults:
        split = fault.kind.removeprefix("small-")
        assert f"{sizes[split]} {split} queries, expected {FEWEST[split]} or more" in fault.message


def test_truncation(parts):
    passages, queries, qrels = parts
    passages["p0"] += " " + words(RNG, 30)
    found = report(
        passages,
        queries,
        qrels,
        token_lengths=lambda texts: [len(t.split()) for t in texts],
        max_length=60,
    )
    assert kinds(found) == ["truncated"]
    assert found.truncated == pytest.approx(1 / 90)
    assert (
        "1.1% of the passages are longer than the 60 tokens that are read"
        in found.faults[0].message
    )


def test_faults_of_reading_are_listed_first_and_all_is_json(parts):
    passages, queries, qrels = parts
    earlier = Fault("bad-json", "corpus.jsonl:3", "not valid JSON", "Write one object a line.")
    found = report(passages | {"again": passages["p3"]}, queries, qrels, faults=[earlier])
    assert kinds(found) == ["bad-json", "duplicate-passage"]
    assert any(line.startswith("error: corpus.jsonl:3: not valid JSON") for line in found.lines())
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["faults"][0]["where"] == "corpus.jsonl:3"
    assert plain["splits"]["dev"] == {"queries": 20, "positives": 20}


def test_large_collections_are_sampled_and_say_so(parts, monkeypatch):
    monkeypatch.setattr("whet.data.check.MOST_COMPARED", 25)
    monkeypatch.setattr("whet.data.check.MOST_MEASURED", 10)
    passages, queries, qrels = parts
    settings = {"token_lengths": lambda texts: [len(texts)] * len(texts), "max_length": 9}
    found = report(passages, queries, {"test": qrels["test"], "train": qrels["dev"]}, **settings)
    assert found.truncated == 1.0
    assert found.notes == (
        "near-duplicates: 25 of 90 passages compared, those that answer test and dev queries first, then those of "
        "train",
        "20 of 90 queries are judged in no split, and not used",
        "truncation: 10 of 90 passages measured",
    )
    assert (
        report(passages, queries, {"test": qrels["test"], "train": qrels["dev"]}, **settings)
        == found
    )


@pytest.mark.parametrize("shingles", [word_shingles, character_shingles])
def test_nearest_is_the_nearest_by_exact_overlap(shingles):
    """LSH may miss what lies at the threshold, never what is far above it; what it returns has the exact overlap."""
    rng = np.random.default_rng(11)
    base = [words(rng, 50).split() for _ in range(40)]
    changed = [[*text[:-1], "other"] for text in base]
    index = NearIndex(0.7)
    for number, sketch in enumerate(sketches([shingles(" ".join(text)) for text in base], seed=3)):
        index.add(number, sketch)
    probes = sketches([shingles(" ".join(text)) for text in changed], seed=3)
    for number, sketch in enumerate(probes):
        overlaps = [jaccard(shingles(" ".join(text)), sketch.shingles) for text in base]
        assert index.nearest(sketch) == (number, overlaps[number])
        assert overlaps[number] == max(overlaps) > 0.8


def test_shingles_are_sets_of_runs():
    first = {("a", "b", "c"), ("b", "c", "d")}
    second = {("b", "c", "d"), ("c", "d", "e")}
    expected = len(first & second) / len(first | second)
    assert jaccard(word_shingles("A b, c d"), word_shingles("b c d. E")) == pytest.approx(expected)
    assert jaccard(word_shingles("織物産業"), word_shingles("織物産")) == 0.5
    assert jaccard(word_shingles("!!"), word_shingles("??")) == 0.0
    assert jaccard(word_shingles("one"), word_shingles("One!")) == 1.0


def test_time_grows_with_the_number_of_texts_not_its_square():
    """Texts of one template, all near one another: the worst case for comparing pairs."""

    def seconds(count):
        rng = np.random.default_rng(count)
        frame = words(rng, 60)
        passages = {f"p{n}": f"{frame} {words(rng, 12)}" for n in range(count)}
        began = time.process_time()
        report(passages, {}, {})
        return time.process_time() - began

    seconds(100)
    small, large = seconds(500), seconds(4000)
    assert large < 8 * 4 * small


def test_medquad_is_checked_well_within_a_minute(shared):
    collection, faults = read(shared("medquad"))
    began = time.process_time()
    found = check(collection, faults=faults)
    assert time.process_time() - began < 40
    assert {"near-duplicate", "leaking-query", "leaking-passage"} == set(kinds(found))
    assert found.notes == ()


def test_held_out_texts_are_compared_however_many_are_trained_on(monkeypatch):
    monkeypatch.setattr("whet.data.check.MOST_COMPARED", 8)
    rng = np.random.default_rng(3)
    passages = {f"p{n}": Passage(f"p{n}", words(rng, 40)) for n in range(20)}
    passages["copy"] = Passage("copy", f"{passages['p0'].text} and so on")
    queries = {f"q{n}": words(rng, 8) for n in range(20)} | {"qt": "another question"}
    train = {f"q{n}": {f"p{n}": 1} for n in range(20)}
    found = check(Collection("c", passages, queries, {"train": train, "test": {"qt": {"copy": 1}}}))
    assert [(near.id, near.other) for near in found.leaks if near.kind == "passage"] == [
        ("copy", "p0")
    ]
