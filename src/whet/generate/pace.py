"""How many calls run at a time: fewer when the server asks for patience, one more for every round that goes well."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 60.0  # seconds, of our own accord; a server's Retry-After may ask for more


class Pace:
    """A bound on calls under way that halves when the server is overloaded and creeps up again (as TCP's does)."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bound = float(most)
        self.running = 0
        self._resume = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and for the end of the pause that the server asked for."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.running < int(self.bound))
            self.running += 1
        try:
            while (wait := self._resume - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            yield
        finally:
            async with self._changed:
                self.running -= 1
                self._changed.notify_all()

    def faster(self) -> None:
        """A call went well."""
        self.bound = min(self.most, self.bound + 1 / self.bound)

    def slower(self, pause: float) -> None:
        """The server is overloaded: half as many calls at a time, none for `pause` seconds."""
        self.bound = max(1.0, self.bound / 2)
        self._resume = max(self._resume, time.monotonic() + pause)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: Retry-After in seconds or as a date, or its cousin in milliseconds."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        said = headers.get("retry-after", "")
        if not said:
            return None
        if said.replace(".", "", 1).isdigit():
            return float(said)
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
