"""Training in rounds: negatives mined anew with the weights of the moment, as ANCE has it (arXiv 2007.00808).

At a boundary the trainer writes a checkpoint first; then the training queries that are still to come are mined for,
here or in a second process, and what was found lies in its folder (`whet.train.refresh.round_folder`) before it is used. So a
training that was killed anywhere goes on: with the negatives that an unbroken one would have, or, where a second
process mines, with those that it has, from a step that is recorded.
"""

import copy
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whet.artifacts import read_json, write_json
from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY
from whet.mine.mined import read_mined
from whet.progress import say
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.train.collate import Pair, PairCollator
from whet.train.refresh.plan import RefreshPlan
from whet.train.refresh.pool import Pool
from whet.train.refresh.round_folder import (
    JOB,
    JOB_ABOUT,
    LOG,
    MINED,
    MODEL,
    SUMMARY,
    Job,
    Round,
    by_number,
    finish,
)

LOW_RECALL = 0.8  # of a pool


class Rounds(TrainerCallback):  # type: ignore[misc]
    """Mines anew at the boundaries `at`, and hands what was found to the collator."""

    def __init__(
        self,
        plan: RefreshPlan,
        collator: PairCollator,
        pairs: Sequence[Pair],
        at: Sequence[int],
        autocast: torch.dtype | None = None,
    ) -> None:
        self.plan, self.collator, self.pairs, self.autocast = plan, collator, pairs, autocast
        self.at = set(at)
        self.threads = torch.get_num_threads()
        self.pooled = plan.pooled
        self.rounds: list[Round] = []
        self.mining: Path | None = None  # the folder of a round that a second process mines
        self.process: subprocess.Popen[bytes] | None = None
        self.sampler: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **with_: Any
    ) -> None:
        """Take up the rounds before this step; those after it are of a training that was broken off."""
        self.sampler = copy.copy(with_["train_dataloader"].batch_sampler)
        if self.plan.config.background:
            torch.set_num_threads(max(1, self.threads - 1))
        for folder in by_number(self.plan.folder):
            known = {
                name: read_json(folder / name)
                for name in (SUMMARY, MINED, JOB_ABOUT)
                if (folder / name).exists()
            }
            if known and next(iter(known.values()))["mined_at"] > state.global_step:
                shutil.rmtree(folder)
            elif SUMMARY in known and known[SUMMARY]["used_from"] <= state.global_step:
                self._use(folder)
            elif self.plan.config.background and known:
                self._take_up(folder, done=MINED in known)
        self.on_save(args, state, control, **with_)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Have a checkpoint at every boundary, with a dev score where there is a dev set; take what was mined aside."""
        if state.global_step in self.at:
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"
        if self.mining is not None and self._mined(self.mining):
            self._take(self.mining, state.global_step)
            self.mining = self.process = None

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **with_: Any
    ) -> None:
        """Mine anew, now that the checkpoint is written."""
        step = state.global_step
        if (
            step not in self.at
            or control.should_training_stop
            or any(one.mined_at == step for one in self.rounds)
        ):
            return
        if self.mining is not None:
            if read_json(self.mining / JOB_ABOUT)["mined_at"] < step:
                say(f"step {step}: the last refresh still goes on, so there is none here")
            return
        dev = _last_dev(state)
        if self.plan.config.times == "auto" and (why := self._enough(dev)):
            say(f"step {step}: negatives stay as they are: {why}")
            return
        folder = self.plan.folder / f"round-{len(self.rounds) + 1}"
        job = self._job(state, int(args.num_train_epochs), dev)
        if self.plan.config.background:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with_["model"].save_pretrained(str(folder / MODEL), create_model_card=False)
            (folder / JOB).write_bytes(pickle.dumps(job))
            write_json(folder / JOB_ABOUT, job.about)
            self._take_up(folder, done=False)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            if not (
                folder / MINED
            ).exists():  # by a training that was killed between mining and using
                job.mine(with_["model"], folder)
            self._take(folder, step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Let go of a refresh that comes too late."""
        if self.mining is not None:
            self.close()
            say("the last refresh came too late to be used")
            shutil.rmtree(self.mining)

    def close(self) -> None:
        """Stop the second process, also after an error, and take its thread back."""
        torch.set_num_threads(self.threads)
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _enough(self, dev: float | None) -> str:
        """Why a further refresh is not worth its cost; "" where it is."""
        if not self.rounds:
            return ""
        last = self.rounds[-1].log
        kept = last["overlap"] * last["recall"]  # what a pool misses would have been new
        if kept >= self.plan.config.overlap:
            return f"the last refresh changed only {1 - last['overlap']:.0%} of them"
        if dev is not None and last["dev"] is not None and dev <= last["dev"]:
            return f"dev has not risen since the last refresh ({100 * last['dev']:.2f} then, {100 * dev:.2f} now)"
        return ""

    def _job(self, state: TrainerState, epochs: int, dev: float | None) -> Job:
        """What is to be mined at this step."""
        number = len(self.rounds) + 1
        part, rows = self._to_come(state.global_step, epochs)
        ranks = [self.plan.first[rows], *(one.ranks[rows] for one in self.rounds)]
        rng = np.random.default_rng([self.plan.seed, number])
        pool = Pool.of(part, ranks, self.plan.config.sample, rng) if self.pooled else None
        part = pool.part_of(part) if pool else part
        about = {
            "round": number,
            "mined_at": state.global_step,
            "epoch": round(state.epoch or 0.0, 4),
            "cost": "pool" if self.pooled else "full",
            "queries": len(rows),
            "dev": dev,
            "threads": torch.get_num_threads(),
            "boundaries": sorted(self.at),
        }
        return Job(
            part,
            rows,
            len(self.plan.first),
            pool,
            self.plan.mine,
            self.plan.depth,
            self.autocast,
            about,
        )

    def _to_come(self, step: int, epochs: int) -> tuple[Collection, np.ndarray]:
        """The collection with the training queries that later batches hold, and their rows among all of them."""
        collection, queries = self.plan.collection, list(self.plan.collection.positives("train"))
        epoch, done = divmod(step, len(self.sampler))
        if epoch < epochs - 1:
            return collection, np.arange(len(queries))
        self.sampler.set_epoch(epoch)
        coming = {self.pairs[row].query_id for batch in list(self.sampler)[done:] for row in batch}
        train = {
            query: judged for query, judged in collection.qrels["train"].items() if query in coming
        }
        rows = np.flatnonzero([query in coming for query in queries])
        return replace(collection, qrels={**collection.qrels, "train": train}), rows

    def _take_up(self, folder: Path, *, done: bool) -> None:
        """Mine in a second process, with one thread, for training has the others; or wait to use what it has mined."""
        self.mining = folder
        (folder / SUMMARY).unlink(missing_ok=True)
        if not done:
            environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            command = [
                sys.executable,
                "-m",
                "whet.train.refresh.round_folder",
                str(folder),
                str(os.getpid()),
            ]
            with (folder / LOG).open("wb") as log:
                self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603

    def _mined(self, folder: Path) -> bool:
        """Whether the second process is done; does without one that was killed. Raises TrainingError when it failed."""
        code = 0 if self.process is None else self.process.poll()
        if code is not None and code < 0:
            say(f"the second process was killed by signal {-code}: negatives stay as they are")
            self.mining = self.process = None
            shutil.rmtree(folder)
        elif code:
            said = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            why = said[-1] if said else "it said nothing"
            raise TrainingError(
                f"mining anew in a second process failed ({code}): {why}. All of it: {folder / LOG}."
            )
        return code == 0

    def _take(self, folder: Path, step: int) -> None:
        """Make what was mined a round, used from this step on."""
        mined, began = read_mined(folder / "negatives.jsonl"), time.monotonic()
        stars = self._stars(mined)
        seconds = round(read_json(folder / MINED)["seconds"] + time.monotonic() - began, 2)
        finish(folder, stars, step, {"overlap": round(self._overlap(mined), 4), "seconds": seconds})
        self._use(folder)
        say(_line(self.rounds[-1].log))

    def _stars(self, mined: Sequence[MinedQuery]) -> list[PositiveQuery]:
        """h* of the negatives to be used that no query is known for."""
        used = [replace(one, negatives=one.negatives[: self.plan.negatives]) for one in mined]
        known = self.collator.knowledge.positive_queries
        lacking = [
            replace(one, negatives=tuple(n for n in one.negatives if n.passage_id not in known))
            for one in used
        ]
        return self.plan.stars(lacking)

    def _overlap(self, mined: Sequence[MinedQuery]) -> float:
        """The share of the new negatives that their queries had before."""
        before = {pair.query_id: pair.negative_ids for pair in self.pairs} | self.collator.negatives
        shares = [
            len({n.passage_id for n in one.negatives[: len(old)]}.intersection(old)) / len(old)
            for one in mined
            if (old := before[one.query_id])
        ]
        return float(np.mean(shares)) if shares else 0.0

    def _use(self, folder: Path) -> None:
        one = Round.read(folder, self.plan.negatives)
        self.rounds.append(one)
        self.collator.refresh(one.negatives, one.positive_queries)


def _last_dev(state: TrainerState) -> float | None:
    """The dev score of the step at hand."""
    found = [
        row
        for row in state.log_history
        if f"eval_{PRIMARY}" in row and row["step"] == state.global_step
    ]
    return float(found[-1][f"eval_{PRIMARY}"]) if found else None


def _advice(recall: float) -> str:
    return "" if recall >= LOW_RECALL else "; raise refresh.depth for more"


def _line(log: Mapping[str, Any]) -> str:
    """What a refresh came to, in a line."""
    where = f"{log['encoded']:,} passages"
    if log["cost"] == "pool":
        where += f" (which hold {log['recall']:.0%} of the corpus's best ranks, by estimate{_advice(log['recall'])})"
    later = f", used from step {log['used_from']}" if log["used_from"] != log["mined_at"] else ""
    return (
        f"step {log['mined_at']}: negatives of {log['queries']:,} queries mined anew in {where}{later}; "
        f"{1 - log['overlap']:.0%} are new, {log['suspected_share']:.1%} suspected answers; {log['seconds']:.0f} s"
    )
