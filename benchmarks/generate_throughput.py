"""ReplyStore a second and memory when a server writes queries for many passages: at 1, 8 and 64 calls at a time.

    python benchmarks/generate_throughput.py --passages 10000

The server is the tests' own, on this machine, in a process of its own; it thinks for DELAY seconds about each reply.
Each row is a fresh process; `less` is a tenth of the passages, to show that memory stays flat.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ladder import RESULTS, machine

from whet.artifacts import peak_memory_mb, write_json
from whet.generate.config import GenerateConfig
from whet.generate.named import generator_of
from whet.records import GenerationRequest, Passage

RESULT = RESULTS / "generate_throughput.json"
TESTS = Path(__file__).parents[1] / "tests"
DELAY = 0.02
CONCURRENCIES = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--ask", nargs=3, metavar=("URL", "CONCURRENCY", "FOLDER"), help=argparse.SUPPRESS
    )
    wanted = parser.parse_args()
    if wanted.serve:
        serve()
    elif wanted.ask:
        print(
            json.dumps(ask(wanted.ask[0], int(wanted.ask[1]), Path(wanted.ask[2]), wanted.passages))
        )
    else:
        measure(wanted.passages)


def measure(passages: int) -> None:
    """Every row, with one server for all; it ends with this process's pipe to it."""
    me = [sys.executable, __file__]
    with subprocess.Popen(
        [*me, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        url, rows = server.stdout.readline().strip() if server.stdout else "", {}
        for concurrency in CONCURRENCIES:
            for name, count in (("less", passages // 10), ("all", passages)):
                with tempfile.TemporaryDirectory() as folder:
                    command = [
                        *me,
                        "--passages",
                        str(count),
                        "--ask",
                        url,
                        str(concurrency),
                        folder,
                    ]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows[f"{concurrency} {name}"] = json.loads(done.stdout)
                print(concurrency, name, rows[f"{concurrency} {name}"], flush=True)
        server.stdin and server.stdin.close()
    write_json(RESULT, {"about": __doc__, "machine": machine(), "delay": DELAY, "rows": rows})


def ask(url: str, concurrency: int, folder: Path, count: int) -> dict[str, Any]:
    """Have queries written for passages that are made up; all must have one."""
    config = GenerateConfig(generator=f"openai:x@{url}", concurrency=concurrency)
    generator = generator_of(
        config, "reverse", (), folder / "replies.sqlite", confirm=lambda question: True
    )
    briefs = [
        GenerationRequest(Passage(str(at), f"passage {at} " + "about lamps and rooms " * 20))
        for at in range(count)
    ]
    before, began = peak_memory_mb(), time.monotonic()
    written = generator.generate(briefs)
    seconds = time.monotonic() - began
    if not all(one.texts for one in written):
        raise SystemExit("some passage has no query")
    return {
        "passages": count,
        "replies_per_second": round(count / seconds, 1),
        "at best": round(concurrency / DELAY, 1),
        "peak_memory_mb": peak_memory_mb(),
        "more_than_before_mb": peak_memory_mb() - before,
    }


def serve() -> None:
    """Serve until nobody holds the other end of stdin."""
    sys.path.insert(0, str(TESTS))
    from generate.chat_server import Chat, serving

    chat = Chat(lambda _: '{"queries": ["what hangs in the room"]}', delay=DELAY)
    with serving(chat) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
