"""Every answer of a language model, kept as it comes in: nothing that was paid for is asked for twice."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from whet.errors import ArtifactError

COLUMNS = (
    "key TEXT PRIMARY KEY, text TEXT NOT NULL, tokens_in INTEGER, tokens_out INTEGER, seconds REAL"
)
MOST_ASKED = 500  # keys in one question to the database


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request: its text, what it cost in tokens, and how long it took."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


class ReplyStore:
    """Replies by key, in one SQLite file; each is on disk before the next is asked for.

    Raises ArtifactError when the file is no such store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._open = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._open.execute("PRAGMA journal_mode=WAL")
            self._open.execute(
                "PRAGMA synchronous=NORMAL"
            )  # survives a killed process; a power cut may cost the last
            self._open.execute(f"CREATE TABLE IF NOT EXISTS replies ({COLUMNS})")
        except sqlite3.Error as error:
            raise ArtifactError(
                f"{path}: cannot be used as a store of replies ({error}). Move it away."
            ) from error

    def put(self, key: str, reply: Reply) -> None:
        """Store one reply."""
        row = (key, reply.text, reply.tokens_in, reply.tokens_out, reply.seconds)
        self._open.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", row)

    def find(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The replies that are there, by key."""
        wanted, found = list(keys), dict[str, Reply]()
        for start in range(0, len(wanted), MOST_ASKED):
            part = wanted[start : start + MOST_ASKED]
            places = ", ".join("?" * len(part))
            rows = self._open.execute(f"SELECT * FROM replies WHERE key IN ({places})", part)  # noqa: S608 - only ?
            found |= {key: Reply(*rest) for key, *rest in rows}
        return found

    def spent(self) -> tuple[int, int, int]:
        """Replies, and tokens in and out, of all that are there."""
        sums = "COUNT(*), COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0)"
        calls, tokens_in, tokens_out = self._open.execute(f"SELECT {sums} FROM replies").fetchone()  # noqa: S608
        return int(calls), int(tokens_in), int(tokens_out)

    def close(self) -> None:
        """Close the file."""
        self._open.close()


def spent_in(path: Path) -> dict[str, dict[str, int]]:
    """Calls and tokens of a run's store so far, for a summary; nothing where no model was asked."""
    if not path.exists():
        return {}
    store = ReplyStore(path)
    calls, tokens_in, tokens_out = store.spent()
    store.close()
    return {"spent_so_far": {"calls": calls, "tokens_in": tokens_in, "tokens_out": tokens_out}}
