"""Packing: which rows share a chunk, and what of them is kept."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.encoder.packing import chunks_of, distinct_rows, take_rows


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=40), budget=st.integers(1, 200))
def test_chunks_hold_every_row_once_within_the_budget(lengths, budget):
    chunks = chunks_of(torch.tensor(lengths), budget)
    assert sorted(torch.cat(chunks).tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        rows = torch.tensor(lengths)[chunk]
        assert len(chunk) == 1 or len(chunk) * int(rows.max()) <= budget
    assert [lengths[i] for i in torch.cat(chunks)] == sorted(lengths, reverse=True)


def rows_of(lengths, columns, side="right"):
    """Features of rows of ones, padded on a side."""
    place = torch.arange(columns)
    if side == "left":
        place = place.flip(0)
    mask = (place < torch.tensor(lengths)[:, None]).long()
    return {
        "input_ids": mask * (1 + torch.arange(columns)),
        "attention_mask": mask,
        "task": "query",
    }


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("lengths", "width"), [([3, 7], 7), ([0, 1], 1), ([32], 32), ([33], 40), ([34, 12], 40)]
)
def test_rows_keep_the_columns_that_they_need(lengths, width, side):
    """Up to 32 tokens exactly those; beyond that, multiples of 8."""
    features = rows_of([*lengths, 50], 50, side)
    taken = take_rows(features, torch.arange(len(lengths)))
    columns = slice(0, width) if side == "right" else slice(50 - width, 50)
    assert torch.equal(taken["attention_mask"], features["attention_mask"][:-1, columns])
    assert torch.equal(taken["input_ids"], features["input_ids"][:-1, columns])
    assert taken["task"] == "query"


def test_rows_without_a_token_keep_a_column():
    taken = take_rows(rows_of([0, 5], 5), torch.tensor([0]))
    assert taken["input_ids"].shape == (1, 1)


def test_texts_are_known_by_their_tokens_and_not_by_their_padding():
    features = {
        "input_ids": torch.tensor([[7, 8, 9], [5, 6, 0], [7, 8, 9], [5, 6, 4]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 0]]),
    }
    first_rows, text_of_row = distinct_rows(features)
    assert first_rows[text_of_row].tolist() == [0, 1, 0, 1]
