"""Every reply of a language model, stored as it arrives, so that nothing is paid for twice."""

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from whet.errors import ArtifactError

COLUMNS = (
    "key TEXT PRIMARY KEY, text TEXT NOT NULL, tokens_in INTEGER, tokens_out INTEGER, seconds REAL"
)
MAX_KEYS_PER_QUERY = 500  # SQLite before 3.32 takes 999 parameters at most


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one call: its text, what it cost in tokens, and how long it took."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Number of replies, and the tokens of their prompts and texts."""

    calls: int
    tokens_in: int
    tokens_out: int


class ReplyStore:
    """Replies by key, in one SQLite file; `put` returns when the reply is on disk.

    Raises ArtifactError when the file is no such store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # No transactions: each INSERT is committed by itself. Calls may run in another thread.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            # Survives a killed process. A power cut may cost the last replies.
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(f"CREATE TABLE IF NOT EXISTS replies ({COLUMNS})")
        except sqlite3.Error as error:
            raise ArtifactError(
                f"{path}: cannot be used as a store of replies ({error}). Move it away."
            ) from error

    def put(self, key: str, reply: Reply) -> None:
        """Store one reply."""
        row = (key, reply.text, reply.tokens_in, reply.tokens_out, reply.seconds)
        self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", row)

    def find(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The replies that are stored under these keys, by key."""
        replies: dict[str, Reply] = {}
        for start in range(0, len(keys), MAX_KEYS_PER_QUERY):
            some_keys = keys[start : start + MAX_KEYS_PER_QUERY]
            places = ", ".join("?" * len(some_keys))
            query = f"SELECT * FROM replies WHERE key IN ({places})"  # noqa: S608 - only ?
            for key, *values in self._database.execute(query, some_keys):
                replies[key] = Reply(*values)
        return replies

    def usage(self) -> Usage:
        """Count all replies and their tokens."""
        sums = "COUNT(*), COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0)"
        row = self._database.execute(f"SELECT {sums} FROM replies").fetchone()  # noqa: S608
        return Usage(*row)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def spent_in(path: Path) -> dict[str, dict[str, int]]:
    """The usage of a run's store so far, for a summary; empty where no model was called."""
    if not path.exists():
        return {}
    store = ReplyStore(path)
    usage = store.usage()
    store.close()
    return {"spent_so_far": asdict(usage)}
