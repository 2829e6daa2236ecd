"""Pieces taken from passages: real text out of the passage, telling, and no copy of it."""

from pathlib import Path

import numpy as np
import pytest

import whet
from whet.generate.extractive import (
    COPY_SHARE,
    MAX_TERMS,
    ExtractiveGenerator,
    key_phrase,
    misspell,
    sentences,
)
from whet.generate.form import MIN_QUERIES, Form
from whet.records import GenerationRequest, Passage, GenerationResult
from whet.search.bm25 import Bm25, terms

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Who came, he saw. He left!", ["Who came, he saw."]),
        ("東大寺は奈良にある。大仏が有名です。", ["東大寺は奈良にある。", "大仏が有名です。"]),
        ("यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("find . -name '*.txt' | xargs grep foo", ["find . -name '*.txt' | xargs grep foo"]),
        (
            "- a bulleted point here\n\nand  another\nline",
            ["a bulleted point here", "and another line"],
        ),
        ("", []),
    ],
)
def test_sentences_of_several_languages_and_code(text, expected):
    assert sentences(text) == expected


def test_a_long_sentence_is_cut_into_clauses_and_a_long_clause_dropped():
    clause, endless = (
        " ".join(f"a{n}" for n in range(20)),
        " ".join(f"b{n}" for n in range(MAX_TERMS + 1)),
    )
    assert sentences(f"{clause}, {clause}; {endless}") == [f"{clause},", f"{clause};"]


def test_the_key_phrase_is_the_heaviest_run():
    words = [f"w{number}" for number in range(20)]
    weights = {word: float(number % 7) for number, word in enumerate(words)}
    runs = [" ".join(words[at : at + 8]) for at in range(13)]
    assert key_phrase(" ".join(words), weights) == max(
        runs, key=lambda run: sum(weights[w] for w in run.split())
    )
    assert key_phrase("word " * 20, {"word": 1.0}) == ""


def test_the_sentence_that_tells_the_passage_apart_comes_first():
    common = "This page tells you what you need to know about the city."
    passages = [
        Passage(
            str(number),
            f"{common} The {word} office opens on Monday morning. {common}",
            f"{word} office",
        )
        for number, word in enumerate(["pension", "passport", "zoo"])
    ]
    found = [
        one.texts
        for one in ExtractiveGenerator(passages).generate([GenerationRequest(p) for p in passages])
    ]
    assert [pieces[0] for pieces in found] == [
        f"The {word} office opens on Monday morning." for word in ("pension", "passport", "zoo")
    ]
    assert found[0][-1] == "pension office"


def test_a_passage_too_short_gives_nothing():
    passages = [Passage("a", "top"), Passage("b", "ls -l"), Passage("c", ""), Passage("d", "…")]
    found = ExtractiveGenerator(passages).generate(
        [GenerationRequest(passage) for passage in passages]
    )
    assert found == [GenerationResult((), "too short to take a piece from")] * 4


@pytest.mark.parametrize("name", ["eda_tiny", "integreat_de", "nl2bash_a"])
def test_pieces_stand_in_their_passage_and_lead_back_to_it(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    passages = list(whet.load(SHARED / name).passages.values())[:600]
    found = [
        one.texts
        for one in ExtractiveGenerator(passages).generate([GenerationRequest(p) for p in passages])
    ]
    for passage, pieces in zip(passages, found, strict=True):
        content = " ".join(f"{passage.title}\n{passage.text}".split())
        assert all(piece in content for piece in pieces)
        assert all(len(set(terms(piece))) <= COPY_SHARE * len(set(terms(content))) for piece in pieces)
    rows = [row for row, pieces in enumerate(found) if pieces]
    hits = Bm25([passage.content for passage in passages]).top_k([found[row][0] for row in rows], 3)
    back = sum(row in hit for row, hit in zip(rows, hits.indices.tolist(), strict=True))
    assert len(rows) > 0.6 * len(passages)
    assert back > 0.9 * len(rows)


def test_pieces_take_the_form_of_the_users_queries():
    sentence = "Die Pension office in Ulm Opens on Monday Morning, and Closes again at noon on every Friday of the year."
    passages = [
        Passage("a", f"{sentence} It is Quite near the Station."),
        Passage("b", "other words. Of no account."),
    ]
    brief = [GenerationRequest(passages[0])]
    plain = ExtractiveGenerator(passages).generate(brief)[0].texts
    few = ExtractiveGenerator(passages, ["when open"] * (MIN_QUERIES - 1)).generate(brief)[0].texts
    assert few == plain
    assert plain[0] == "It is Quite near the Station."
    short = ExtractiveGenerator(passages, ["when is it open"] * MIN_QUERIES).generate(brief)[0].texts
    assert len(terms(short[0])) == 4
    assert short[0] in sentence.lower()
    assert not any(text.endswith(".") for text in short)
    asked = ExtractiveGenerator(
        passages, ["When is it open today?", "Where is the Zoo?"] * MIN_QUERIES
    ).generate(brief)
    assert any(text[0].isupper() for text in asked[0].texts)
    near = ExtractiveGenerator(
        passages, ["Where is that place now?", "Is it not in Ulm?"] * MIN_QUERIES
    ).generate(brief)
    assert len(terms(near[0].texts[0])) in (5, 6)


def test_a_script_without_capitals_says_nothing_of_them():
    form = Form.of(["大仏はどこにありますか"] * MIN_QUERIES)
    assert form is not None
    assert form.apply("NHKは何ですか。") == "NHKは何ですか"


def test_each_wording_is_made_of_the_passages_own_terms():
    text = (
        "The pension office sends a letter every spring. It says what you have paid in and what you may expect. "
        "Keep these letters with your tax papers, for the office asks for them when you retire, often years later."
    )
    passages = [
        Passage("a", text, "Pensions"),
        Passage("b", "Dogs are taxed by the town every year in May."),
    ]
    generator = ExtractiveGenerator(passages)
    found = {
        style: generator.generate([GenerationRequest(passages[0], style)])[0].texts
        for style in ("question", "keywords", "long", "misspelt")
    }
    assert found == {
        style: generator.generate([GenerationRequest(passages[0], style)])[0].texts
        for style in found
    }
    own = terms(passages[0].content)
    assert set(terms(found["keywords"][0])) <= set(own)
    assert 3 <= len(terms(found["keywords"][0])) <= 6
    assert " ".join(terms(found["long"][0])) in " ".join(own)
    assert found["misspelt"][0].islower()
    wrong = set(terms(found["misspelt"][0])) - set(own)
    assert 1 <= len(wrong) <= 2


def test_slips_of_the_keyboard_change_a_letter_or_two():
    slipped = {misspell("identity card", np.random.default_rng(seed)) for seed in range(40)}
    assert len(slipped) > 15
    assert all(
        abs(len(text) - len("identity card")) <= 2 and text != "identity card" for text in slipped
    )
    assert misspell("a 1", np.random.default_rng(0)) == "a 1"
