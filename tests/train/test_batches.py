"""Neighbour batches: what holds for any judgements, that they group neighbours, and that any ST loss can use them."""

from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whet.train.batches import NeighbourBatchSampler


@st.composite
def rows(draw):
    """Queries with some positives each, as training rows, and neighbours drawn at random."""
    passages = st.sets(st.integers(0, 7), min_size=1, max_size=4)
    positives = draw(st.lists(passages, min_size=1, max_size=15))
    pairs = [(query, f"p{p}") for query, found in enumerate(positives) for p in sorted(found)]
    known = [frozenset(f"p{p}" for p in positives[query]) for query, _ in pairs]
    shape = (len(pairs), draw(st.integers(1, 6)))
    neighbours = np.random.default_rng(draw(st.integers(0, 99))).integers(
        -1, len(pairs), shape, dtype=np.int32
    )
    return {"neighbours": neighbours, "passages": [p for _, p in pairs], "known": known}


def sampler_of(made, batch_size, seed=0, epoch=0):
    sampler = NeighbourBatchSampler(range(len(made["passages"])), batch_size, seed=seed, **made)
    sampler.set_epoch(epoch)
    return sampler


@given(made=rows(), batch_size=st.integers(2, 9), epoch=st.integers(0, 3))
def test_no_row_comes_twice_and_no_two_rows_of_a_batch_conflict(made, batch_size, epoch):
    sampler = sampler_of(made, batch_size, epoch=epoch)
    batches = list(sampler)
    drawn = [row for batch in batches for row in batch]
    assert len(drawn) == len(set(drawn))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert len(batches) == len(sampler) == -(-len(made["passages"]) // batch_size)
    for batch in batches:
        for one in batch:
            assert not [
                two for two in batch if two != one and made["passages"][two] in made["known"][one]
            ]


@given(made=rows(), batch_size=st.integers(2, 9), seed=st.integers(0, 5))
def test_seed_and_epoch_alone_decide(made, batch_size, seed):
    first = list(sampler_of(made, batch_size, seed, epoch=2))
    again = sampler_of(made, batch_size, seed, epoch=1)
    list(again)
    again.set_epoch(2)
    assert list(again) == first == list(again)


def unrelated(count, neighbours):
    names = [f"p{row}" for row in range(count)]
    return {
        "neighbours": neighbours,
        "passages": names,
        "known": [frozenset([name]) for name in names],
    }


def blocks_of(count, size):
    """Neighbours of a row: the other rows of its block of `size`."""
    table = [
        [other for other in range(row - row % size, row - row % size + size) if other != row]
        for row in range(count)
    ]
    return unrelated(count, np.array(table, dtype=np.int32))


def test_every_row_comes_when_nothing_conflicts_and_epochs_differ():
    made = blocks_of(40, 4)
    epochs = [list(sampler_of(made, 6, epoch=epoch)) for epoch in range(3)]
    for batches in epochs:
        assert sorted(row for batch in batches for row in batch) == list(range(40))
        assert {len(batch) for batch in batches} == {5, 6}
    assert len({str(batches) for batches in epochs}) == 3
    assert list(sampler_of(made, 6, seed=1)) != epochs[0]


def test_neighbours_come_together():
    made = blocks_of(40, 4)
    for epoch in range(5):
        assert {
            frozenset(row // 4 for row in batch) for batch in sampler_of(made, 4, epoch=epoch)
        } == {frozenset([block]) for block in range(10)}


def test_a_chain_of_neighbours_is_followed():
    ring = np.array([[(row + 1) % 12] for row in range(12)], dtype=np.int32)
    first = next(iter(sampler_of(unrelated(12, ring), 12)))
    assert first == [(first[0] + step) % 12 for step in range(12)]


def test_rows_that_fit_nowhere_wait():
    neighbours = np.full((3, 1), -1, dtype=np.int32)
    one_query = {
        "neighbours": neighbours,
        "passages": ["a", "b", "c"],
        "known": [frozenset("abc")] * 3,
    }
    assert [len(batch) for batch in sampler_of(one_query, 3)] == [1]


def test_on_medquad_no_positive_of_a_query_shares_a_batch_with_it(medquad):
    _, pairs, known = medquad
    around = np.array(
        [-3, -2, -1, 1, 2, 3]
    )  # a query's rows follow one another: the neighbours most to be wary of
    made = {
        "neighbours": ((np.arange(len(pairs))[:, None] + around) % len(pairs)).astype(np.int32),
        "passages": [passage for _, passage in pairs],
        "known": [known[query] for query, _ in pairs],
    }
    for batch in sampler_of(made, 32):
        for row in batch:
            inside = {pairs[other][1] for other in batch if other != row}
            assert inside.isdisjoint(known[pairs[row][0]])


def test_it_serves_any_loss_in_a_plain_trainer(tiny_model, material, tmp_path):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model, pairs, data = SentenceTransformer(str(tiny_model)), material.pairs, material.collection
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []

    class Recorded(NeighbourBatchSampler):
        def __iter__(self):
            for batch in super().__iter__():
                seen.append((self.epoch, batch))
                yield batch

    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=2,
            per_device_train_batch_size=8,
            batch_sampler=partial(
                Recorded,
                neighbours=np.random.default_rng(0).integers(
                    0, len(pairs), (len(pairs), 9), dtype=np.int32
                ),
                passages=[pair.positive_id for pair in pairs],
                known=[material.knowledge.positives[pair.query_id] for pair in pairs],
            ),
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict(
            {
                "query": [data.queries[pair.query_id] for pair in pairs],
                "positive": [data.passages[pair.positive_id].content for pair in pairs],
            }
        ),
        loss=MultipleNegativesRankingLoss(model),
    )
    trainer.train()
    assert trainer.state.global_step == 2 * -(-len(pairs) // 8) == len(seen)
    epochs = [[batch for epoch, batch in seen if epoch == wanted] for wanted in (0, 1)]
    assert [sorted(row for batch in batches for row in batch) for batches in epochs] == [
        list(range(len(pairs)))
    ] * 2
    assert epochs[0] != epochs[1]
    assert any(not before[name].equal(value) for name, value in model.state_dict().items())
