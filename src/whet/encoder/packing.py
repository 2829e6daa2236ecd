"""Packing: which texts go through the model together, so that little arithmetic is padding.

Every distinct text runs once. Rows are sorted by length and cut into chunks of about
`chunk_tokens` padded tokens. Packing changes nothing but float noise.
"""

import math

import torch
from jaxtyping import Int
from torch import Tensor

from whet.encoder.tokens import Features

# 1,000-2,000 tokens is where a CPU's caches hold a chunk. A GPU has to be filled instead.
CHUNK_TOKENS = {"cpu": 2048, "cuda": 65536}

# A CPU's backend keeps a kernel, and memory, for every shape that it has seen. Long rows
# therefore come in multiples of 8 tokens; below 32 tokens that would be too much padding.
EXACT_LENGTHS = 32
LENGTH_STEP = 8


def chunks_of(lengths: Int[Tensor, " doc"], chunk_tokens: int) -> list[Int[Tensor, " chunk"]]:
    """Cut rows into chunks, longest first: rows × longest row stays within `chunk_tokens`.

    Returns row indices. A row that is longer than the budget gets a chunk of its own.

    >>> [chunk.tolist() for chunk in chunks_of(torch.tensor([2, 9, 4, 3]), 10)]
    [[1], [2, 3], [0]]
    """
    order = torch.sort(lengths, descending=True, stable=True).indices
    chunks = []
    start = 0
    while start < len(order):
        longest_row = order[start]
        row_tokens = _padded_length(int(lengths[longest_row]))
        row_count = max(1, chunk_tokens // max(1, row_tokens))
        chunks.append(order[start : start + row_count])
        start += row_count
    return chunks


def take_rows(features: Features, rows: Int[Tensor, " chunk"]) -> Features:
    """The features of some rows, without the columns that are padding in all of them.

    Padding may lie on either side. With 50 columns, rows of up to 34 tokens give 40 columns:

        tokens in columns 0-33    ->   columns 0-39
        tokens in columns 16-49   ->   columns 10-49
    """
    mask = features["attention_mask"]
    is_used = mask[rows].any(dim=0)
    used_columns = is_used.nonzero().flatten().tolist() or [0]
    first = used_columns[0]
    last = used_columns[-1]
    width = _padded_length(last + 1 - first)
    end = width if first == 0 else last + 1
    start = max(0, end - width)
    taken = {}
    for name, value in features.items():
        is_of_tokens = isinstance(value, Tensor) and value.shape[:2] == mask.shape
        if is_of_tokens:
            taken[name] = value[rows][:, start:end]
        else:
            taken[name] = value
    return taken


def distinct_rows(features: Features) -> tuple[Int[Tensor, " text"], Int[Tensor, " doc"]]:
    """The first row of every distinct text, and for each row the number of its text.

    rows a b a   ->   first rows 0 1, numbers 0 1 0   (a before b, by their tokens)
    """
    is_padding = features["attention_mask"] == 0
    ids = features["input_ids"].masked_fill(is_padding, -1)
    _, text_of_row = torch.unique(ids, dim=0, return_inverse=True)
    row_count = len(text_of_row)
    text_count = int(text_of_row.max()) + 1
    rows = torch.arange(row_count, device=text_of_row.device)
    first_rows = rows.new_full((text_count,), row_count)
    first_rows.scatter_reduce_(0, text_of_row, rows, reduce="amin")
    return first_rows, text_of_row


def _padded_length(length: int) -> int:
    """The width that rows of this many tokens are padded to."""
    if length <= EXACT_LENGTHS:
        return length
    return math.ceil(length / LENGTH_STEP) * LENGTH_STEP
