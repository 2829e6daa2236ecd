"""Test queries from a table: an answer is an id, a document, or words that stand in passages."""

import logging

import pytest

from whet.data.query_table import with_test_queries
from whet.errors import ConfigError, DataError
from whet.records import Collection, Passage

TEXTS = {
    "guide.md#1": "Some words before any heading.",
    "guide.md#2": "Cards are renewed at the desk, or by post.",
    "guide.md#3": "First cards are free.",
    "dogs.md#1": "Dogs are taxed.",
}


def collection_of(texts):
    passages = {name: Passage(name, text) for name, text in texts.items()}
    documents = {name: name.partition("#")[0] for name in texts if "#" in name}
    return Collection("docs", passages, {}, {}, documents=documents)


@pytest.fixture
def handbook():
    """Four passages of two documents."""
    return collection_of(TEXTS)


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table of test queries and gives its path."""

    def write(text):
        path = tmp_path / "asked.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_answers_are_words_ids_or_documents(handbook, table):
    path = table(
        "question,answer\n"
        "where do I renew?,RENEWED at the desk\n"
        "what does it cost?,guide.md#3\n"
        "all of it,guide.md\n"
        'cards and dogs,"[""guide.md#2"", ""dogs.md#1""]"\n'
    )
    collection = with_test_queries(handbook, path)
    assert list(collection.qrels["test"].values()) == [
        {"guide.md#2": 1},
        {"guide.md#3": 1},
        {f"guide.md#{number}": 1 for number in (1, 2, 3)},
        {"guide.md#2": 1, "dogs.md#1": 1},
    ]
    assert list(collection.qrels["test"]) == [f"asked-00000{number}" for number in (1, 2, 3, 4)]
    assert collection.queries["asked-000001"] == "where do I renew?"


def test_rows_of_the_same_query_are_one_query(handbook, table):
    path = table("query,positive\nDogs?,dogs.md#1\ndogs? ,guide.md#1\n")
    collection = with_test_queries(handbook, path)
    assert collection.qrels["test"] == {"asked-000001": {"dogs.md#1": 1, "guide.md#1": 1}}


def test_an_answer_that_nothing_matches_is_a_fault(handbook, table):
    path = table("question,answer\nwho?,nobody knows\nwhat?,\n")
    with pytest.raises(DataError) as caught:
        with_test_queries(handbook, path)
    unknown, empty = caught.value.faults
    message = "asked.csv:2: no id, document or text in docs matches 'nobody knows'"
    assert message in str(unknown)
    assert empty.kind == "unknown-answer"


def test_a_table_without_a_query_column_is_a_fault(handbook, table):
    with pytest.raises(DataError, match="no column for the query"):
        with_test_queries(handbook, table("name,answer\na,guide.md#1\n"))


def test_a_missing_table_is_named(handbook, tmp_path):
    with pytest.raises(ConfigError, match="no such table"):
        with_test_queries(handbook, tmp_path / "gone.csv")


def test_an_answer_is_whole_words_with_its_grade_and_many_matches_are_warned_of(table, caplog):
    texts = {"eyes": "Close your eyes.", "yes": "They said yes.", "大仏": "奈良の大仏です。"}
    texts |= {f"same {n}": f"Number {n} is blue." for n in range(7)}
    path = table(
        "query,positive,score\n"
        "is it so?,yes,2\n"
        "where?,大仏,1\n"
        "what not?,eyes,0\n"
        "which colour?,is blue,1\n"
    )
    caplog.set_level(logging.INFO, "whet")
    collection = with_test_queries(collection_of(texts), path)
    blue = {f"same {n}": 1 for n in range(7)}
    assert list(collection.qrels["test"].values()) == [{"yes": 2}, {"大仏": 1}, {"eyes": 0}, blue]
    warning, summary = caplog.records
    assert warning.levelno == logging.WARNING
    assert "'is blue' stands in 7 passages" in warning.message
    assert summary.message == f"{path}: 4 real test queries"
