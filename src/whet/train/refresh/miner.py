"""How a round is mined: in the training's own process, or in a second one beside it."""

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import torch

from whet.errors import TrainingError
from whet.train.refresh.mining_job import MiningJob
from whet.train.refresh.round_folder import RoundFolder, RoundState

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)


class Miner(Protocol):
    """Mines one round at a time."""

    @property
    def mining(self) -> RoundFolder | None:
        """The round that is being mined."""
        ...

    def open(self) -> None:
        """Make ready, at the start of training."""
        ...

    def launch(self, folder: RoundFolder, job: MiningJob, model: "SentenceTransformer") -> None:
        """Begin to mine a round with the model's weights of this moment."""
        ...

    def resume(self, folder: RoundFolder) -> None:
        """Go on with a round that an earlier, killed training had requested or mined."""
        ...

    def poll(self) -> RoundFolder | None:
        """The round that was launched, once it is mined; None before, and at every later call."""
        ...

    def close(self) -> None:
        """Stop mining, also after an error."""
        ...


class InProcessMiner:
    """Mines while training waits."""

    def __init__(self) -> None:
        self.mining: RoundFolder | None = None

    def open(self) -> None:
        """Nothing to make ready."""

    def launch(self, folder: RoundFolder, job: MiningJob, model: "SentenceTransformer") -> None:
        """Mine the round, unless a training that was killed before installing it has done so."""
        self.mining = folder
        if folder.state() is not RoundState.MINED:
            job.mine(model, folder)

    def resume(self, folder: RoundFolder) -> None:
        """Leave it: the same boundary launches the same round again."""

    def poll(self) -> RoundFolder | None:
        """The round that was launched."""
        mined = self.mining
        self.mining = None
        return mined

    def close(self) -> None:
        """Nothing to stop."""


class SubprocessMiner:
    """Mines in a second process with one thread; training has the other threads meanwhile."""

    def __init__(self) -> None:
        self.mining: RoundFolder | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.threads = torch.get_num_threads()

    def open(self) -> None:
        """Leave a thread to the second process."""
        torch.set_num_threads(max(1, self.threads - 1))

    def launch(self, folder: RoundFolder, job: MiningJob, model: "SentenceTransformer") -> None:
        """Write the job and start the second process."""
        folder.delete()
        job.write(model, folder)
        self.resume(folder)

    def resume(self, folder: RoundFolder) -> None:
        """Start the second process, unless the round is mined already."""
        folder.withdraw()  # it was installed at a step that this training has not reached again
        self.mining = folder
        if folder.state() is RoundState.REQUESTED:
            self.process = self._start(folder)

    def _start(self, folder: RoundFolder) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "whet.train.refresh", str(folder.path), str(os.getpid())]
        # One thread each, or the two processes would slow each other down.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with folder.messages.open("wb") as messages:
            return subprocess.Popen(  # noqa: S603 - our own module
                command, env=environment, stdout=messages, stderr=messages
            )

    def poll(self) -> RoundFolder | None:
        """The round, once it is mined. A second process that was killed is given up.

        Raises TrainingError when the second process failed.
        """
        folder = self.mining
        if folder is None:
            return None
        # Without a process the round was mined by that of an earlier, killed training.
        code = 0 if self.process is None else self.process.poll()
        if code is None:  # it still runs
            return None
        if code > 0:
            raise TrainingError(
                f"re-mining in a second process failed ({code}): {_last_message(folder)}. "
                f"All messages: {folder.messages}."
            )
        self.mining = None
        self.process = None
        if code < 0:  # the number of a signal, such as the kernel's when memory runs out
            logger.info(
                f"the second process was killed by signal {-code}: negatives stay as they are"
            )
            folder.delete()
            return None
        return folder

    def close(self) -> None:
        """Stop the second process, and give its thread back to training."""
        torch.set_num_threads(self.threads)
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _last_message(folder: RoundFolder) -> str:
    messages = folder.messages.read_text(encoding="utf-8", errors="replace")
    lines = messages.strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
