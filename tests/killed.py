"""Runs the real command line and kills it, as `kill -9` does, when a chosen function is called for the n-th time.

    python killed.py MODULE:NAME N whet's arguments …

The process dies just before the call, or, where NAME starts with "~", right after it.
"""

import importlib
import os
import signal
import sys


def arm(target, count):
    """Replace MODULE:NAME by one that kills this process at call `count`."""
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
        calls += 1
        if calls < count:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        return os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["whet", *sys.argv[3:]]
    from whet.cli.main import main

    main()
