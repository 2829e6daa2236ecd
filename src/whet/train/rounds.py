"""Training in rounds: negatives mined anew with the weights of the moment, as ANCE has it (arXiv 2007.00808).

At a boundary the trainer writes a checkpoint first; then the training queries that are still to come are mined for, and
what was found lies in `round-N/` before it is used. So a training that was killed anywhere goes on with the negatives
that an unbroken one would have.
"""

import copy
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whet.artifacts import read_json, write_json
from whet.encode import PackedEncoder, StoredEncoder
from whet.evaluate.measures import PRIMARY
from whet.generate.positives import read_positive_queries, write_positive_queries
from whet.mine.config import MineConfig
from whet.mine.mined import read_mined, write_mined
from whet.mine.refresh import Pool, Ranks, Remined, remine
from whet.progress import say
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.train.collate import Pair, PairCollator
from whet.train.config import RefreshConfig

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOL_PAYS = 0.75  # of the corpus's characters: a pool that is larger saves too little
STEP = 2.5  # forward passes that a training step costs a text: one forward, and the way back
SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Remining:
    """What mining anew needs: the collection and how it is mined, each query's first ranks, and h* for passages.

    `stars` finds positive queries of mined passages; `negatives` per query are used. Rounds are kept in `folder`.
    """

    collection: Collection
    mine: MineConfig
    config: RefreshConfig
    negatives: int
    first: Ranks
    stars: Callable[[Sequence[MinedQuery]], list[PositiveQuery]]
    folder: Path
    seed: int = 13

    def cost(self) -> tuple[bool, int]:
        """Whether the pool is taken, and characters that a refresh over all training queries encodes."""
        sizes = np.array([len(passage.content) for passage in self.collection.passages.values()])
        asked = sum(len(self.collection.queries[query]) for query in self.collection.positives("train"))
        pool = Pool.of(self.collection, [self.first], self.config.sample, np.random.default_rng(self.seed))
        taken = int(sizes[pool.rows].sum())
        pays = self.config.cost == "pool" or (self.config.cost == "auto" and taken <= POOL_PAYS * sizes.sum())
        return bool(pays), asked + (taken if pays else int(sizes.sum()))

    def work(self, epochs: int) -> float:
        """Characters that a training of so many epochs reads, each counted as often as a refresh could read it."""
        texts = {passage.id: len(passage.content) for passage in self.collection.passages.values()}
        read = sum(
            len(self.collection.queries[query]) + texts[passage] * (1 + self.negatives)
            for query, passages in self.collection.positives("train").items()
            for passage in passages
        )
        return STEP * epochs * read


def boundaries(remining: Remining, steps: int, epochs: int, evaluations: int) -> list[int]:
    """Steps after which negatives are mined anew, at equal distances.

    `auto` takes as many as its share of the training's work pays for, and no more than there are dev evaluations
    before the end.
    """
    times = 0
    if isinstance(remining.config.times, int):
        times = remining.config.times
    elif remining.config.times == "auto":
        _, cost = remining.cost()
        work = remining.work(epochs)
        times = min(evaluations - 1, int(remining.config.share * work / max(1, cost)))
        share = f"a refresh costs {cost / work:.1%} of the training's work"
        say(f"{share}: {f'{times} planned' if times else f'none, for more than {remining.config.share:.0%}'}")
    return sorted({round(steps * number / (times + 1)) for number in range(1, times + 1)} - {0, steps})


@dataclass(frozen=True, slots=True)
class Round:
    """Negatives mined from the weights after `mined_at` steps, in force from there on, and what is known of them."""

    number: int
    mined_at: int
    negatives: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, list[str]]
    ranks: Ranks
    log: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, used: int) -> "Round":
        """A round from its folder; `used` negatives of each query."""
        log = read_json(folder / SUMMARY)
        answers: dict[str, list[str]] = {}
        for star in read_positive_queries(folder / "queries.jsonl"):
            answers.setdefault(star.passage_id, []).append(star.text)
        mined = read_mined(folder / "negatives.jsonl")
        negatives = {one.query_id: tuple(n.passage_id for n in one.negatives[:used]) for one in mined}
        ranks = np.load(folder / "ranks.npy", allow_pickle=False)
        return cls(log["round"], log["mined_at"], negatives, answers, ranks, log)


class Rounds(TrainerCallback):  # type: ignore[misc]
    """Mines anew at the boundaries, and hands what was found to the collator."""

    def __init__(
        self,
        remining: Remining,
        collator: PairCollator,
        pairs: Sequence[Pair],
        at: Sequence[int],
        autocast: torch.dtype | None = None,
    ) -> None:
        self.remining, self.collator, self.pairs, self.autocast = remining, collator, pairs, autocast
        self.at = set(at)
        self.pooled = remining.cost()[0]
        self.rounds: list[Round] = []
        self.sampler: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **with_: Any
    ) -> None:
        """Take up the rounds before this step; those after it are of a training that was broken off."""
        self.sampler = copy.copy(with_["train_dataloader"].batch_sampler)
        folder = self.remining.folder
        for path in sorted(folder.glob("round-*"), key=lambda path: int(path.name.split("-")[1])):
            if (path / SUMMARY).exists() and read_json(path / SUMMARY)["mined_at"] <= state.global_step:
                self._use(Round.read(path, self.remining.negatives))
            else:
                shutil.rmtree(path)
        self.on_save(args, state, control, **with_)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Have a checkpoint at every boundary, and a dev score where there is a dev set."""
        if state.global_step in self.at:
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **with_: Any) -> None:
        """Mine anew, now that the checkpoint is written."""
        step = state.global_step
        if step not in self.at or control.should_training_stop or any(one.mined_at == step for one in self.rounds):
            return
        dev = _last_dev(state)
        if self.remining.config.times == "auto" and (why := self._enough(dev)):
            say(f"negatives stay as they are: {why}")
            self.at = set()
        else:
            self._refresh(with_["model"], state, int(args.num_train_epochs), dev)

    def _enough(self, dev: float | None) -> str:
        """Why a further refresh is not worth its cost; "" where it is."""
        if not self.rounds:
            return ""
        last = self.rounds[-1].log
        if last["overlap"] >= self.remining.config.overlap:
            return f"the last refresh changed only {1 - last['overlap']:.0%} of them"
        if dev is not None and last["dev"] is not None and dev <= last["dev"]:
            return f"dev has not risen since the last refresh ({100 * last['dev']:.2f} then, {100 * dev:.2f} now)"
        return ""

    def _refresh(self, model: "SentenceTransformer", state: TrainerState, epochs: int, dev: float | None) -> None:
        began, number = time.monotonic(), len(self.rounds) + 1
        part, rows = self._to_come(state.global_step, epochs)
        ranks = [self.remining.first[rows], *(one.ranks[rows] for one in self.rounds)]
        rng = np.random.default_rng([self.remining.seed, number])
        pool = Pool.of(part, ranks, self.remining.config.sample, rng) if self.pooled else None
        vectors = self.remining.folder / "vectors"  # until they have been used, so that a killed refresh goes on
        encoder = StoredEncoder(PackedEncoder(model, autocast=self.autocast), vectors)
        found = remine(part, encoder, self.remining.mine, self.remining.config.depth, pool)
        stars = self._stars(found.mined)
        log = {
            "round": number,
            "mined_at": state.global_step,
            "epoch": round(state.epoch or 0.0, 4),
            "cost": "pool" if self.pooled else "full",
            "queries": len(found.mined),
            "overlap": round(self._overlap(found), 4),
            "new_queries": len(stars),
            "dev": dev,
        }
        folder = self.remining.folder / f"round-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_mined(folder / "negatives.jsonl", found.mined)
        write_positive_queries(folder / "queries.jsonl", stars)
        every = np.full((len(self.remining.first), found.ranks.shape[1]), -1)
        every[rows] = found.ranks
        np.save(folder / "ranks.npy", every, allow_pickle=False)
        write_json(folder / SUMMARY, log | found.to_json() | {"seconds": round(time.monotonic() - began, 2)})
        shutil.rmtree(vectors)
        self._use(Round.read(folder, self.remining.negatives))
        say(_line(self.rounds[-1].log))

    def _to_come(self, step: int, epochs: int) -> tuple[Collection, np.ndarray]:
        """The collection with the training queries that later batches hold, and their rows among all of them."""
        collection, queries = self.remining.collection, list(self.remining.collection.positives("train"))
        epoch, done = divmod(step, len(self.sampler))
        if epoch < epochs - 1:
            return collection, np.arange(len(queries))
        self.sampler.set_epoch(epoch)
        coming = {self.pairs[row].query_id for batch in list(self.sampler)[done:] for row in batch}
        train = {query: judged for query, judged in collection.qrels["train"].items() if query in coming}
        rows = np.flatnonzero([query in coming for query in queries])
        return replace(collection, qrels={**collection.qrels, "train": train}), rows

    def _stars(self, mined: Sequence[MinedQuery]) -> list[PositiveQuery]:
        """h* of the negatives to be used that no query is known for."""
        used = [replace(one, negatives=one.negatives[: self.remining.negatives]) for one in mined]
        known = self.collator.knowledge.answers
        lacking = [replace(one, negatives=tuple(n for n in one.negatives if n.passage_id not in known)) for one in used]
        return self.remining.stars(lacking)

    def _overlap(self, found: Remined) -> float:
        """The share of the new negatives that their queries had before."""
        before = {pair.query_id: pair.negative_ids for pair in self.pairs} | self.collator.negatives
        shares = [
            len({n.passage_id for n in one.negatives[: len(old)]}.intersection(old)) / len(old)
            for one in found.mined
            if (old := before[one.query_id])
        ]
        return float(np.mean(shares)) if shares else 0.0

    def _use(self, one: Round) -> None:
        self.rounds.append(one)
        self.collator.refresh(one.negatives, one.answers)


def _last_dev(state: TrainerState) -> float | None:
    """The dev score of the step at hand."""
    found = [row for row in state.log_history if f"eval_{PRIMARY}" in row and row["step"] == state.global_step]
    return float(found[-1][f"eval_{PRIMARY}"]) if found else None


def _line(log: Mapping[str, Any]) -> str:
    """What a refresh came to, in a line."""
    where = f"{log['encoded']:,} passages"
    if log["cost"] == "pool":
        where += f" (which hold {log['recall']:.0%} of the corpus's best, by estimate)"
    return (
        f"step {log['mined_at']}: negatives of {log['queries']:,} queries mined anew in {where}; "
        f"{1 - log['overlap']:.0%} are new, {log['suspected_share']:.1%} suspected answers; {log['seconds']:.0f} s"
    )
