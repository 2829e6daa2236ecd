"""Mine the job of one round of re-mining in a process of its own.

    python -m whet.train.refresh FOLDER PARENT

FOLDER is the round's folder. The process ends with the process PARENT, which started it.
"""

import os
import sys
import threading
import time
from pathlib import Path

from whet.models import load_model
from whet.train.refresh.mining_job import read_job
from whet.train.refresh.round_folder import RoundFolder

SECONDS_BETWEEN_LOOKS = 0.5


def end_with(parent: int) -> None:
    """Wait until the parent process is gone; then end this one."""
    while os.getppid() == parent:  # an orphan gets another parent
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # sys.exit would end this thread alone


def main() -> None:
    """Mine the job."""
    folder = RoundFolder(Path(sys.argv[1]))
    parent = int(sys.argv[2])
    threading.Thread(target=end_with, args=[parent], daemon=True).start()
    job = read_job(folder)
    job.mine(load_model(str(folder.model)), folder)


if __name__ == "__main__":
    main()
