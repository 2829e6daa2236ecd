"""When hard negatives are re-mined during training, and from when on they are used.

ANCE (arXiv 2007.00808) mines with the weights of the moment. At a boundary, a step that was planned
for re-mining, the trainer first writes a checkpoint. Then a `Miner` mines for the training queries
that are still to come. What it mined lies in the round's folder before a step uses it. So a
training that was killed anywhere goes on with the negatives that an unbroken one has; where a
second process mines, with those that it has from the step that is recorded.
"""

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whet.evaluate.measures import PRIMARY
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.train.collate import Pair, PairCollator
from whet.train.refresh.miner import InProcessMiner, Miner, SubprocessMiner
from whet.train.refresh.mining_job import MiningJob
from whet.train.refresh.plan import RefreshPlan
from whet.train.refresh.pool import Pool, Rows
from whet.train.refresh.round_folder import (
    Round,
    RoundFolder,
    RoundState,
    round_folder,
    round_folders,
)
from whet.train.refresh.round_log import JobLog

logger = logging.getLogger(__name__)


class RefreshCallback(TrainerCallback):  # type: ignore[misc]
    """Re-mines at the steps `boundaries`, and gives the collator the new negatives."""

    def __init__(
        self,
        plan: RefreshPlan,
        collator: PairCollator,
        pairs: Sequence[Pair],
        boundaries: Sequence[int],
        autocast: torch.dtype | None = None,
    ) -> None:
        self.plan = plan
        self.collator = collator
        self.pairs = pairs
        self.boundaries = set(boundaries)
        self.autocast = autocast
        self.miner: Miner = SubprocessMiner() if plan.config.background else InProcessMiner()
        self.rounds: list[Round] = []
        self.sampler: Any = None  # a copy of the trainer's, which tells the batches of an epoch

    # ---- the trainer's events

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,
    ) -> None:
        """Use the rounds before this step again; delete those after it, of a killed training."""
        # A copy, so that asking it for batches to come changes no epoch of the training's own.
        self.sampler = copy.copy(others["train_dataloader"].batch_sampler)
        self.miner.open()
        for folder in round_folders(self.plan.folder):
            self._take_up(folder, state.global_step)
        # A training that was killed between a boundary's checkpoint and its round starts here.
        self._refresh(args, state, control, others["model"])

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Have a checkpoint, and a dev score, at every boundary; install what has been mined."""
        if state.global_step in self.boundaries:
            # The trainer evaluates before it saves, so `on_save` knows this step's dev score.
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"
        self._install_mined(state.global_step)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,
    ) -> None:
        """Re-mine at a boundary, now that its checkpoint is written."""
        self._refresh(args, state, control, others["model"])

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Give up a round that is not mined yet."""
        late = self.miner.mining
        if late is not None:
            self.miner.close()
            logger.info("the last refresh came too late to be used")
            late.delete()

    def close(self) -> None:
        """Stop mining, also after an error."""
        self.miner.close()

    # ---- when: schedule

    def schedule(self, state: TrainerState) -> bool:
        """Whether to re-mine at this step; logs why not, where it was planned."""
        step = state.global_step
        mined_at = {earlier.log.mined_at for earlier in self.rounds}
        if step not in self.boundaries or step in mined_at:
            return False
        mining = self.miner.mining
        if mining is not None:
            if mining.read_job_log().mined_at < step:
                logger.info(
                    f"step {step}: the last refresh still goes on, so there is none at this step"
                )
            return False
        if self.plan.config.times != "auto":
            return True
        reason = self._reason_to_skip(_dev_score(state))
        if reason:
            logger.info(f"step {step}: negatives stay as they are: {reason}")
        return not reason

    def _reason_to_skip(self, dev: float | None) -> str:
        """Why one more refresh is not worth its cost; "" where it is."""
        if not self.rounds:
            return ""
        last = self.rounds[-1].log
        if last.unchanged >= self.plan.config.overlap:
            return f"the last refresh changed only {1 - last.overlap:.0%} of them"
        if dev is not None and last.dev is not None and dev <= last.dev:
            before = f"{100 * last.dev:.2f}"
            now = f"{100 * dev:.2f}"
            return f"dev has not risen since the last refresh ({before} then, {now} now)"
        return ""

    # ---- how: launch

    def _refresh(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any,
    ) -> None:
        """Launch a round where one is due."""
        if control.should_training_stop or not self.schedule(state):
            return
        number = len(self.rounds) + 1
        job = self._job(number, state, int(args.num_train_epochs))
        self.miner.launch(round_folder(self.plan.folder, number), job, model)
        self._install_mined(state.global_step)

    def _job(self, number: int, state: TrainerState, epochs: int) -> MiningJob:
        """What the round mines: the queries of the batches to come, in the pool or the corpus."""
        plan = self.plan
        collection, rows = self._to_come(state.global_step, epochs)
        pool = None
        if plan.pooled:
            # What ranked high for these queries in any round so far, (query, rank) each.
            ranks = [plan.first_ranks[rows]]
            ranks += [earlier.ranks[rows] for earlier in self.rounds]
            rng = np.random.default_rng([plan.seed, number])
            pool = Pool.of(collection, ranks, plan.config.sample, rng)
            collection = pool.part_of(collection)
        log = JobLog(
            round=number,
            mined_at=state.global_step,
            epoch=round(state.epoch or 0.0, 4),
            cost="pool" if plan.pooled else "full",
            queries=len(rows),
            dev=_dev_score(state),
            threads=torch.get_num_threads(),
            boundaries=sorted(self.boundaries),
        )
        return MiningJob(
            collection=collection,
            rows=rows,
            queries=len(plan.first_ranks),
            pool=pool,
            config=plan.mine,
            depth=plan.depth,
            autocast=self.autocast,
            log=log,
        )

    def _to_come(self, step: int, epochs: int) -> tuple[Collection, Rows]:
        """The collection with the training queries of the batches to come, and their rows.

        Before the last epoch these are all of them.
        """
        collection = self.plan.collection
        queries = list(collection.positives("train"))
        # With 4 batches an epoch, step 6 is in epoch 1, and 2 of its batches are done.
        epoch, batches_done = divmod(step, len(self.sampler))
        if epoch < epochs - 1:
            return collection, np.arange(len(queries))
        self.sampler.set_epoch(epoch)
        coming: set[str] = set()
        for batch in list(self.sampler)[batches_done:]:
            coming.update(self.pairs[row].query_id for row in batch)
        judgements = collection.qrels["train"]
        train = {query: grades for query, grades in judgements.items() if query in coming}
        rows = np.flatnonzero([query in coming for query in queries])
        qrels = {**collection.qrels, "train": train}
        return replace(collection, qrels=qrels), rows

    # ---- from when on: install

    def _take_up(self, folder: RoundFolder, step: int) -> None:
        """Use a round of the earlier process again, or go on with it; delete one after `step`."""
        state = folder.state()
        if state is RoundState.EMPTY:
            return
        if folder.read_job_log().mined_at > step:
            folder.delete()
        elif state is RoundState.INSTALLED and folder.read_log().used_from <= step:
            self._use(folder.read_round(self.plan.negatives))
        else:
            self.miner.resume(folder)

    def _install_mined(self, step: int) -> None:
        """Install the round that has been mined, if there is one."""
        folder = self.miner.poll()
        if folder is not None:
            self.install(folder, step)

    def install(self, folder: RoundFolder, step: int) -> None:
        """Use what was mined from this step on."""
        started = time.monotonic()
        # From the file also when mined in this process: what a resumed training would read.
        mined = folder.read_mined()
        positive_queries = self._new_positive_queries(mined)
        log = folder.read_mined_log().installed(
            used_from=step,
            new_queries=len(positive_queries),
            overlap=self._overlap(mined),
            more_seconds=time.monotonic() - started,
        )
        self._use(folder.install(mined, positive_queries, log, self.plan.negatives))
        logger.info(log.line)

    def _new_positive_queries(self, mined: Sequence[MinedQuery]) -> list[PositiveQuery]:
        """Positive queries (h*) of the negatives to be used that have none yet."""
        known = self.collator.known.positive_queries
        lacking = []
        for query in mined:
            used = query.negatives[: self.plan.negatives]
            new = tuple(negative for negative in used if negative.passage_id not in known)
            lacking.append(replace(query, negatives=new))
        return self.plan.find_positive_queries(lacking)

    def _overlap(self, mined: Sequence[MinedQuery]) -> float:
        """Mean over queries of the share of negatives that stay."""
        before = {pair.query_id: pair.negative_ids for pair in self.pairs}
        before |= self.collator.negatives
        shares = []
        for query in mined:
            old = before[query.query_id]
            if old:
                # As many of the new ones as there were old ones.
                new = {negative.passage_id for negative in query.negatives[: len(old)]}
                shares.append(len(new.intersection(old)) / len(old))
        return float(np.mean(shares)) if shares else 0.0

    def _use(self, newest: Round) -> None:
        self.rounds.append(newest)
        self.collator.refresh(newest.negatives, newest.positive_queries)


def _dev_score(state: TrainerState) -> float | None:
    """The dev score at this step; None where it was not scored."""
    key = f"eval_{PRIMARY}"
    for entry in reversed(state.log_history):
        if key in entry and entry["step"] == state.global_step:
            return float(entry[key])
    return None
