"""Runs the command line again and again, in processes that die as by `kill -9` at a chosen call.

Reads a JSON list of jobs from stdin: [[MODULE:NAME, N] or null, [whet's arguments …], run folder,
stage]. A process is killed just before the N-th call of NAME since the stage began. With a "~"
before NAME's last part it is killed right after that call. Prints how each process ended.

The first job runs in this very process, and the others are forked from it. So the imports, which
take most of a tiny run's time, happen once, and what a run left in memory may make no difference
to the next.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from whet.cli.main import main


def arm(target, count, partial):
    """Replace MODULE:NAME: call `count` since the folder `partial` exists kills this process."""
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    after, name = name.startswith("~"), name.lstrip("~")
    real = getattr(owner, name)
    calls = 0

    def deadly(*args, **kwargs):
        nonlocal calls
        calls += partial.exists()
        if calls < count:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        return os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def run(kill, arguments, out, stage):
    """Run the command line; return its exit code."""
    sys.argv = ["whet", *arguments]
    if kill is not None:
        arm(*kill, Path(out) / f"{stage}.partial")
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 70


def forked(job):
    """Run the command line in a child; return how it ended, and what the run folder held then."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(run(*job))
        finally:  # also after an error: a child must never go on as its parent
            traceback.print_exc()
            os._exit(71)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, "folder": sorted(path.name for path in Path(job[2]).iterdir())}


if __name__ == "__main__":
    first, *others = json.load(sys.stdin)
    run(*first)
    sys.stdout.write("\n" + json.dumps([forked(job) for job in others]))
