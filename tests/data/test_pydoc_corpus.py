"""The corpus of the Python installation: good pairs, whole modules, the same in every process."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from whet.data.pydoc_corpus import PASSAGE_WORDS, SUMMARY_WORDS, build_pydoc_collection
from whet.errors import ConfigError

GOOD = (
    '"""Tell the time of day in words.\n\n'
    'The clock of this machine is read, {} as it may be wrong."""\n'
)
LATIN = (
    b'# coding: latin-1\n"""Name the caf\xe9 on the corner here.\n\n'
    b'A small place with a very long menu."""'
)
MOJIBAKE = b'"""Name the caf\xe9 on the square here.\n\nA large place with a very short menu."""'
PACKAGES = ["asyncio", "email", "logging"]  # of the standard library: real text, quickly parsed


@pytest.fixture(scope="module")
def collection():
    return build_pydoc_collection(limit=None, seed=3, packages=PACKAGES)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes the files of an importable package that must not be imported, and reads it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "clockwork").mkdir()

    def build(**files):
        for name, text in {"__init__": "raise SystemExit('imported')", **files}.items():
            path = tmp_path / "clockwork" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        passages = build_pydoc_collection(limit=None, seed=0, packages=["clockwork"]).passages
        assert "clockwork" not in sys.modules
        return {key.removeprefix("clockwork."): passage.text for key, passage in passages.items()}

    return build


def test_every_query_is_a_summary_with_its_own_passage_in_one_split(collection):
    judged = {query: ps for split in collection.qrels.values() for query, ps in split.items()}
    assert len(judged) == sum(map(len, collection.qrels.values())) == len(collection.passages) > 200
    assert judged == {f"q:{name}": {name: 1} for name in collection.passages}
    assert all(len(text.split()) in SUMMARY_WORDS for text in collection.queries.values())
    assert all(len(p.text.split()) in PASSAGE_WORDS for p in collection.passages.values())


def test_no_text_stands_twice_and_no_passage_holds_its_query(collection):
    summaries = [text.casefold() for text in collection.queries.values()]
    passages = {p.text for p in collection.passages.values()}
    assert len(set(summaries)) == len(summaries)
    assert len(passages) == len(collection.passages)
    assert not any(collection.queries[f"q:{p.id}"] in p.text for p in collection.passages.values())


def test_no_module_is_in_two_splits(collection):
    def is_module(name):
        return Path(os.__file__).parent.joinpath(*name.split(".")).with_suffix(".py").exists()

    modules = {}
    for split, judged in collection.qrels.items():
        for query in judged:
            name = query.removeprefix("q:")
            while name and not is_module(name):
                name = name.rpartition(".")[0]
            modules.setdefault(name, set()).add(split)
    modules.pop("")  # what stands in a package's own __init__
    assert len(modules) > 20
    assert all(len(splits) == 1 for splits in modules.values())
    assert {split for splits in modules.values() for split in splits} == {"train", "dev", "test"}


def test_a_limit_keeps_a_sample_of_the_same_pairs(collection):
    few = build_pydoc_collection(limit=100, seed=3, packages=PACKAGES)
    assert {split: len(judged) for split, judged in few.qrels.items()} == {
        "train": 74,
        "dev": 9,
        "test": 17,
    }
    assert all(
        judged.items() <= collection.qrels[split].items() for split, judged in few.qrels.items()
    )


def test_another_seed_deals_the_modules_out_otherwise(collection):
    other = build_pydoc_collection(limit=None, seed=4, packages=PACKAGES)
    assert other.passages == collection.passages
    assert other.qrels != collection.qrels


def test_a_fresh_process_builds_the_same(collection):
    code = (
        "import hashlib; from whet.data.pydoc_corpus import build_pydoc_collection\n"
        f"c = build_pydoc_collection(limit=None, seed=3, packages={PACKAGES})\n"
        "print(hashlib.sha256(repr(c).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(repr(collection).encode()).hexdigest()


def test_tests_private_and_unreadable_files_are_passed_over(package):
    passages = package(
        good=GOOD.format("wrong"),
        latin=LATIN,
        broken="def (:",
        mojibake=MOJIBAKE,
        _private=GOOD.format("private"),
        test_it=GOOD.format("tested"),
        **{"tests/deep": GOOD.format("nested")},
    )
    assert sorted(passages) == ["good", "latin"]
    assert passages["good"] == "The clock of this machine is read, wrong as it may be wrong."


def test_only_public_names_speak(package):
    body = (
        "class Clock:\n    {}\n    def tell(self):\n        {}\n    def _wind(self):\n        {}\n"
    )
    doc = (
        '"""{0} the {0} of all clocks.\n\n    {0}s are many, and each of them goes its own way."""'
    )
    assert sorted(package(good=body.format(*map(doc.format, ("Hand", "Dial", "Spring"))))) == [
        "good.Clock",
        "good.Clock.tell",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Too short.\n\nBut the rest of it is quite as long as it has to be.",
        "The rest of this is short.\n\nToo short by far.",
        "tell(clock, zone=None) -> str of the time\n\nThe rest is quite as long as it has to be.",
        "Tell the time of day.\n\nWhat is said twice is no query: tell the time of day, in words.",
    ],
    ids=["summary", "passage", "signature", "repeated"],
)
def test_what_no_reader_could_answer_is_left_out(package, text):
    assert package(bad=f'"""{text}"""') == {}


def test_a_missing_package_is_named():
    with pytest.raises(ConfigError, match="'clockwurk' is to be read, but no such package"):
        build_pydoc_collection(limit=None, seed=0, packages=["clockwurk"])
