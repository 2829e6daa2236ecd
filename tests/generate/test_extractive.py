"""Pieces taken from passages: real text out of the passage, telling, and no copy of it."""

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
from whet.generate.form import MIN_QUERIES
from whet.records import GenerationRequest, GenerationResult, Passage
from whet.search.bm25 import Bm25, terms


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


def generate(passages, examples=(), style="question"):
    """What the offline generator gives for each passage."""
    generator = ExtractiveGenerator(passages, examples)
    results = generator.generate([GenerationRequest(passage, style) for passage in passages])
    return [result.texts for result in results]


def test_a_long_sentence_is_cut_into_clauses_and_a_long_clause_dropped():
    clause = " ".join(f"a{number}" for number in range(20))
    endless = " ".join(f"b{number}" for number in range(MAX_TERMS + 1))
    assert sentences(f"{clause}, {clause}; {endless}") == [f"{clause},", f"{clause};"]


def test_the_key_phrase_is_the_heaviest_run():
    words = [f"w{number}" for number in range(20)]
    weights = {word: float(number % 7) for number, word in enumerate(words)}
    runs = [words[start : start + 8] for start in range(13)]
    heaviest = max(runs, key=lambda run: sum(weights[word] for word in run))
    assert key_phrase(" ".join(words), weights) == " ".join(heaviest)
    assert key_phrase("word " * 20, {"word": 1.0}) == ""


def test_the_sentence_that_sets_the_passage_apart_comes_first():
    common = "This page tells you what you need to know about the city."
    passages = []
    for word in ("pension", "passport", "zoo"):
        text = f"{common} The {word} office opens on Monday morning. {common}"
        passages.append(Passage(word, text, f"{word} office"))
    texts = generate(passages)
    for passage, pieces in zip(passages, texts, strict=True):
        assert pieces[0] == f"The {passage.id} office opens on Monday morning."
    assert texts[0][-1] == "pension office"


def test_a_passage_too_short_gives_nothing():
    passages = [Passage("a", "top"), Passage("b", "ls -l"), Passage("c", ""), Passage("d", "…")]
    requests = [GenerationRequest(passage) for passage in passages]
    results = ExtractiveGenerator(passages).generate(requests)
    assert results == [GenerationResult((), "too short to take a piece from")] * 4


@pytest.mark.parametrize("name", ["eda_tiny", "integreat_de", "nl2bash_a"])
def test_pieces_stand_in_their_passage_and_lead_back_to_it(name, shared):
    passages = list(whet.load(shared(name)).passages.values())[:400]
    texts = generate(passages)
    for passage, pieces in zip(passages, texts, strict=True):
        content = " ".join(f"{passage.title}\n{passage.text}".split())
        most_terms = COPY_SHARE * len(set(terms(content)))
        for piece in pieces:
            assert piece in content
            assert len(set(terms(piece))) <= most_terms
    rows = [row for row, pieces in enumerate(texts) if pieces]
    first_pieces = [texts[row][0] for row in rows]
    hits = Bm25([passage.content for passage in passages]).top_k(first_pieces, 3)
    found = [row in hit for row, hit in zip(rows, hits.indices.tolist(), strict=True)]
    assert len(rows) > 0.6 * len(passages)
    assert sum(found) > 0.9 * len(rows)


SENTENCE = (
    "Die Pension office in Ulm Opens on Monday Morning, "
    "and Closes again at noon on every Friday of the year."
)
ULM = [
    Passage("a", f"{SENTENCE} It is Quite near the Station."),
    Passage("b", "other words. Of no account."),
]


def test_few_examples_change_nothing():
    plain = generate(ULM)[0]
    assert plain[0] == "It is Quite near the Station."
    assert generate(ULM, ["when open"] * (MIN_QUERIES - 1))[0] == plain


def test_pieces_take_the_form_of_the_users_queries():
    short = generate(ULM, ["when is it open"] * MIN_QUERIES)[0]
    assert len(terms(short[0])) == 4
    assert short[0] in SENTENCE.lower()
    assert not any(text.endswith(".") for text in short)
    cased = generate(ULM, ["When is it open today?", "Where is the Zoo?"] * MIN_QUERIES)[0]
    assert any(text[0].isupper() for text in cased)
    longer = generate(ULM, ["Where is that place now?", "Is it not in Ulm?"] * MIN_QUERIES)[0]
    assert len(terms(longer[0])) in (5, 6)


LETTERS = (
    "The pension office sends a letter every spring. "
    "It says what you have paid in and what you may expect. "
    "Keep these letters with your tax papers, "
    "for the office asks for them when you retire, often years later."
)


def test_each_style_is_made_of_the_passages_own_terms():
    passages = [
        Passage("a", LETTERS, "Pensions"),
        Passage("b", "Dogs are taxed by the town every year in May."),
    ]
    passage_terms = terms(passages[0].content)
    (keywords,) = generate(passages, style="keywords")[0]
    assert set(terms(keywords)) <= set(passage_terms)
    assert 3 <= len(terms(keywords)) <= 6
    (stretch,) = generate(passages, style="long")[0]
    assert " ".join(terms(stretch)) in " ".join(passage_terms)
    (misspelt,) = generate(passages, style="misspelt")[0]
    assert misspelt.islower()
    wrong_terms = set(terms(misspelt)) - set(passage_terms)
    assert 1 <= len(wrong_terms) <= 2
    assert generate(passages, style="misspelt")[0] == (misspelt,)  # the same each time


def test_typing_errors_change_a_letter_or_two():
    right = "identity card"
    wrong = {misspell(right, np.random.default_rng(seed)) for seed in range(40)}
    assert len(wrong) > 15
    assert right not in wrong
    assert all(abs(len(text) - len(right)) <= 2 for text in wrong)
    assert misspell("a 1", np.random.default_rng(0)) == "a 1"
