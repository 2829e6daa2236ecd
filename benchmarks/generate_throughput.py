"""Replies a second, and memory, when a server writes queries for many passages.

    python benchmarks/generate_throughput.py --passages 10000

Measured with 1, 8 and 64 calls at a time. The server is that of the tests. It runs on this machine,
in a process of its own, and waits DELAY seconds before each reply. Each row is a fresh process.
Rows named `less` have a tenth of the passages: they show whether memory grows with the passages.
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

from whet.files import write_json
from whet.generate.config import GenerateConfig
from whet.generate.named import generator_of
from whet.generate.spending import agree
from whet.records import GenerationRequest, Passage
from whet.stage_folder import peak_memory_mb

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
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.ask:
        url, concurrency, folder = options.ask
        row = ask(url, int(concurrency), Path(folder), options.passages)
        print(json.dumps(row))
    else:
        measure(options.passages)


def measure(passages: int) -> None:
    """Measure every row, with the same server. The server ends when its standard input closes."""
    command = [sys.executable, __file__, "--serve"]
    pipe = subprocess.PIPE
    rows = {}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        for concurrency in CONCURRENCIES:
            for name, count in (("less", passages // 10), ("all", passages)):
                row = measure_row(url, concurrency, count)
                rows[f"{concurrency} {name}"] = row
                print(concurrency, name, row, flush=True)
        server.stdin.close()
    write_json(RESULT, {"about": __doc__, "machine": machine(), "delay": DELAY, "rows": rows})


def measure_row(url: str, concurrency: int, count: int) -> dict[str, Any]:
    """Run `ask` in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--passages", str(count)]
        command += ["--ask", url, str(concurrency), folder]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(process.stdout)
    return row


def ask(url: str, concurrency: int, folder: Path, count: int) -> dict[str, Any]:
    """Have queries written for made-up passages. Every passage must get a query."""
    config = GenerateConfig(generator=f"openai:x@{url}", concurrency=concurrency)
    generator = generator_of(config, "reverse", (), folder / "replies.sqlite", confirm=agree)
    requests = []
    for number in range(count):
        text = f"passage {number} " + "about lamps and rooms " * 20
        requests.append(GenerationRequest(Passage(str(number), text)))
    before = peak_memory_mb()
    started = time.monotonic()
    results = generator.generate(requests)
    seconds = time.monotonic() - started
    if not all(result.texts for result in results):
        raise SystemExit("some passage has no query")
    return {
        "passages": count,
        "replies_per_second": round(count / seconds, 1),
        "at best": round(concurrency / DELAY, 1),
        "peak_memory_mb": peak_memory_mb(),
        "more_than_before_mb": peak_memory_mb() - before,
    }


def serve() -> None:
    """Serve until the other end of standard input closes."""
    sys.path.insert(0, str(TESTS))
    from generate.chat_server import Chat, serving

    chat = Chat(lambda _: '{"queries": ["what hangs in the room"]}', delay=DELAY)
    with serving(chat) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
