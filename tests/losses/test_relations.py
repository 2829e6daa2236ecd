"""Who is pushed and who is held, proven on batches that hold another positive of a query."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from words import word_features

from whet.losses import Relations, clp
from whet.losses.infonce import contrastive, cosine
from whet.losses.relations import is_blank, relations_of
from whet.records import Collection, Passage, PositiveQuery
from whet.train.collate import KnownRelevance, PairCollator

BLANK = (2, 3)


def columns(*texts):
    return [word_features(column) for column in texts]


def pull(relations, query=0):
    """How the contrastive loss of one query moves every passage: (doc,) lengths of gradients."""
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(len(relations.positive), 6, generator=generator)
    passage = torch.randn(relations.negative.shape[1], 6, generator=generator, requires_grad=True)
    loss = contrastive(cosine(vectors, passage), relations, 0.1)[query]
    return torch.autograd.grad(loss, passage)[0].norm(dim=1)


def collated(tiny_model, found=()):
    """Rows of q0, q1 and q2 by whet's collator; n is a negative of q0, and p1 answers q0 too."""
    collection = Collection(
        name="tiny",
        passages={
            name: Passage(name, text)
            for name, text in {"p0": "a", "p1": "b", "p2": "c", "n": "d"}.items()
        },
        queries={"q0": "e", "q1": "f", "q2": "g"},
        qrels={"train": {"q0": {"p0": 1, "p1": 1}, "q1": {"p1": 1}, "q2": {"p2": 1}}},
    )
    model = SentenceTransformer(str(tiny_model), device="cpu")
    rows = [
        {"query_id": f"q{i}", "positive_id": f"p{i}", "negative_ids": ["n"] if i == 0 else []}
        for i in range(3)
    ]
    batch = PairCollator(model, collection, KnownRelevance.of(collection, found))(rows)
    return batch, Relations(**batch["label"])


def test_a_second_positive_by_qrels_is_not_pushed(tiny_model):
    """Passages stand in the order p0, n, p1, p2."""
    _, relations = collated(tiny_model)
    moved = pull(relations)
    assert moved[2] == 0
    assert (moved[[0, 1, 3]] > 0).all()
    assert (pull(relations, query=1)[[0, 1, 2, 3]] > 0).all()


def test_hstar_of_in_batch_passages_are_the_batchs_own_queries(tiny_model):
    _, relations = collated(tiny_model)
    answers = {"p0": [0], "n": [], "p1": [0, 1], "p2": [2]}
    assert [row.nonzero().flatten().tolist() for row in relations.answers] == list(answers.values())
    batch, relations = collated(tiny_model, [PositiveQuery("n", "h i", "extractive")])
    assert batch["query_input_ids"].shape[0] == 4
    assert relations.answers[1].tolist() == [False, False, False, True]


def test_a_second_positive_by_text_is_not_pushed():
    """The query of rows 0 and 1 is one text, so each of their passages is the other's positive."""
    relations = relations_of(columns(["q", "q", "r"], ["a", "b", "c"]), 0, in_batch=True)
    assert relations.negative.tolist() == [
        [False, False, True],
        [False, False, True],
        [True, True, False],
    ]
    moved = pull(relations)
    assert moved[1] == 0
    assert (moved[[0, 2]] > 0).all()
    # H* is a set: the query counts once, as what a and b answer both.
    assert relations.answers.tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, True],
    ]


def test_a_shared_positive_is_not_pushed():
    relations = relations_of(columns(["q", "r"], ["a", "a"], ["b", "c"]), 0, in_batch=True)
    assert relations.negative.tolist() == [[False, False, True, True], [False, False, True, True]]


def test_a_given_negative_that_is_a_positive_is_not_pushed():
    """Row 0 has as its negative the positive that row 1 has for the same query."""
    relations = relations_of(columns(["q", "q"], ["a", "b"], ["b", "c"]), 0, in_batch=True)
    assert relations.negative.tolist() == [[False, False, False, True], [False, False, False, True]]


def test_negatives_queries_are_held_and_none_is_made_up():
    """One negative per row; the first row's has no query, the second's has its own."""
    given_columns = columns(["q", "r"], ["a", "b"], ["c", "d"], ["", "s"])
    relations = relations_of(given_columns, 1, in_batch=True, blank=BLANK)
    assert relations.positive.tolist() == [0, 1]
    # doc: a b c d; star: q r "" s
    assert relations.negative.tolist() == [[False, True, True, True], [True, False, True, True]]
    assert relations.answers.int().tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
    ]


def test_a_passage_that_answers_another_rows_query_is_that_querys_positive():
    """Row 0's negative c answers r, and r is the query of row 1: c is never pushed away from r."""
    relations = relations_of(
        columns(["q", "r"], ["a", "b"], ["c", "d"], ["r", ""]), 1, in_batch=True, blank=BLANK
    )
    assert relations.negative.tolist() == [[False, True, True, True], [True, False, False, True]]
    assert relations.answers.int().tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]


def test_two_negatives_with_two_queries_each():
    texts = [["q"], ["a"], ["b"], ["s"], ["t"], ["c"], ["u"], [""]]
    relations = relations_of(columns(*texts), 2, in_batch=True, blank=BLANK)
    assert relations.negative.tolist() == [[False, True, True]]
    assert relations.answers.int().tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_rows_can_keep_to_themselves():
    relations = relations_of(columns(["q", "r"], ["a", "b"], ["c", "d"]), 0, in_batch=False)
    assert relations.negative.tolist() == [[False, False, True, False], [False, False, False, True]]


@pytest.mark.parametrize(("count", "queries_per_negative"), [(1, 0), (3, 1), (5, 1), (4, 2)])
def test_columns_that_do_not_add_up(count, queries_per_negative):
    with pytest.raises(
        ValueError,
        match=rf"^{count} columns came; .* and {queries_per_negative} of its queries\. Set",
    ):
        relations_of(columns(*[["a"]] * count), queries_per_negative, in_batch=True)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_text_is_both_known_and_pushed(data):
    """Against a loop over texts.

    A passage is pushed from all queries that no row of the batch says it answers.
    """
    rows = data.draw(st.integers(1, 4))
    word = st.sampled_from("abcdefgh")
    queries, positives, negatives = ([data.draw(word) for _ in range(rows)] for _ in range(3))
    stars = [data.draw(st.sampled_from(["", *"abcdefgh"])) for _ in range(rows)]
    relations = relations_of(
        columns(queries, positives, negatives, stars), 1, in_batch=True, blank=BLANK
    )
    facts = {
        *zip(positives, queries, strict=True),
        *((n, s) for n, s in zip(negatives, stars, strict=True) if s),
    }
    every = [*queries, *stars]
    for j, passage in enumerate([*positives, *negatives]):
        for i, query in enumerate(queries):
            assert relations.negative[i, j] == ((passage, query) not in facts)
        held = [every[s] for s in relations.answers[j].nonzero().flatten().tolist()]
        assert sorted(held) == sorted({text for text in every if (passage, text) in facts})


@pytest.mark.parametrize(
    ("blank", "prompt", "rows", "expected"),
    [
        ((2, 3), 0, [[2, 3], [2, 9, 3]], [True, False]),  # [CLS] text [SEP]
        (
            (3,),
            0,
            [[3], [9, 3], [3, 3]],
            [True, False, False],
        ),  # text [EOS]: two tokens are not empty
        ((2,), 0, [[2], [2, 9]], [True, False]),  # [BOS] text
        ((), 0, [[], [9]], [True, False]),  # no special tokens
        ((2, 3), 3, [[2, 7, 8, 3], [2, 7, 8, 9, 3]], [True, False]),  # after a prompt of two tokens
        ((2,), 3, [[2, 7, 8], [2, 7, 8, 9]], [True, False]),
    ],
)
def test_an_empty_text_is_known_whatever_the_tokenizer_adds(blank, prompt, rows, expected):
    width = max(len(row) for row in rows) + 1
    features = {
        "input_ids": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        "prompt_length": prompt,
    }
    assert is_blank(features, blank).tolist() == expected


def test_masked_similarity_cannot_change_clp(tiny_model):
    """The vector of a second positive does not change its query's loss."""
    _, relations = collated(tiny_model)
    alone = Relations(relations.positive[:1], relations.negative[:1], relations.answers)
    query, passage, star = (
        torch.randn(n, 5, generator=torch.Generator().manual_seed(n))
        for n in (1, 4, relations.answers.shape[1])
    )
    moved = passage.clone()
    moved[2] = query[0]
    plain, other = (
        clp(query, p, star, alone, temperature=0.02, weight=0.3).total for p in (passage, moved)
    )
    assert plain == other
    moved[1] = query[0]
    assert clp(query, moved, star, alone, temperature=0.02, weight=0.3).total != plain
