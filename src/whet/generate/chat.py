"""Language models behind a server that speaks OpenAI's protocol: many calls at a time, each answer kept as it comes.

What is worth another try (overload, a fault of the server, a cut or slow connection) is tried again with growing
pauses; what is not is recorded as the passage's failure; what concerns all calls (a wrong key, no such model) ends the
work. An answer that was given is never asked for again, however bad it is: it was paid for.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from whet.artifacts import digest
from whet.errors import ConfigError, GeneratorError, require
from whet.generate.config import GenerateConfig
from whet.generate.pace import LONGEST_WAIT, Pace, asked_pause
from whet.generate.reply_store import Reply
from whet.generate.spending import NOT_ASKED, Spending
from whet.progress import Bar
from whet.servers import check_address

PRESETS = {
    "openai": (None, "OPENAI_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY"),
    "vllm": ("http://localhost:8000/v1", "VLLM_API_KEY"),
    "ollama": ("http://localhost:11434/v1", "OLLAMA_API_KEY"),
    "llamacpp": ("http://localhost:8080/v1", "LLAMACPP_API_KEY"),
}
"""Server by name: its address (None is OpenAI's own, or OPENAI_BASE_URL), and the variable that holds its key."""

SETTLING = 0.05  # seconds
HERE = ("localhost", "127.0.0.1", "::1")
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "queries",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
            "required": ["queries"],
            "additionalProperties": False,
        },
    },
}

BLAMES = {
    "response_format": ("response_format", "schema"),
    "max_tokens": ("max_completion_tokens",),
    "temperature": ("temperature",),
}
"""An option, and the words of a server that refuses it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to be made: chat messages, under the key that its reply is stored under."""

    key: str
    messages: list[dict[str, str]]

    @property
    def characters(self) -> int:
        """Length of the prompt."""
        return sum(len(message["content"]) for message in self.messages)


Take = Callable[[Request, Reply], None]
"""What is done with a reply as it arrives."""


class ChatServer:
    """A model of a chat server; `answer` is all that it does.

    The key is read from the server's environment variable; it is kept out of fingerprints, errors and messages.
    """

    def __init__(self, server: str, model: str, url: str | None, config: GenerateConfig) -> None:
        preset, variable = PRESETS[server]
        self.model, self.config = model, config
        self.url = url or preset or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        where = check_address(model, self.url, variable)
        self._key = os.environ.get(variable, "")
        if not self._key and where.hostname not in HERE:
            raise ConfigError(f"{server}:{model} at {self.url} needs a key: export {variable}=…")
        self._openai = require("openai", "openai")
        self.errors: tuple[type[Exception], ...] = (self._openai.OpenAIError,)
        self._refused: set[str] = set()  # options that the server has said it does not take

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def fingerprint(self) -> str:
        """Hash of model, address and what decides a reply; a server may change its model without telling."""
        return digest(
            "chat", self.model, self.url, self.config.temperature, self.config.reply_tokens
        )

    def answer(self, requests: Sequence[Request], spending: Spending, take: Take) -> dict[str, str]:
        """Make the calls, handing each reply to `take` as it arrives; returns why others failed, by key.

        Raises GeneratorError when going on is hopeless; what was taken stays.
        """
        with Bar(f"generate with {self.name}", len(requests)) as bar:
            work = _Work(self, iter(requests), spending, take, bar)
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                asyncio.run(work.run())
            else:  # in a notebook, whose own loop is running here
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, work.run()).result()
        return work.failures

    def client(self) -> Any:
        """A client that tries once."""
        return self._openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=self.config.timeout,
        )

    async def call(self, client: Any, request: Request) -> Reply:
        """One call; raises what the client raises."""
        began = time.monotonic()
        create = client.chat.completions.with_raw_response.create
        options = self._options()
        try:
            raw = await create(model=self.model, messages=request.messages, **options)
        except (self._openai.BadRequestError, self._openai.UnprocessableEntityError) as error:
            said = str(error).lower()
            blamed = next(
                (name for name, words in BLAMES.items() if any(word in said for word in words)),
                None,
            )
            if blamed not in options:
                raise
            self._refused.add(blamed)
            return await self.call(client, request)
        return _reply(raw.text, round(time.monotonic() - began, 3))

    def _options(self) -> dict[str, Any]:
        """What every call is made with, less what the server refuses; newer models have another name for the limit."""
        limit = self.config.reply_tokens
        wanted = {
            "response_format": SCHEMA,
            "max_tokens": limit,
            "temperature": self.config.temperature,
        }
        found = {name: value for name, value in wanted.items() if name not in self._refused}
        return found if "max_tokens" in found else found | {"max_completion_tokens": limit}

    def patience(self, error: Exception) -> float | None:
        """Seconds that the server wants before the next try; None where it does not say, -1 where trying is no use."""
        retried = (
            self._openai.APIConnectionError,
            self._openai.InternalServerError,
            self._openai.RateLimitError,
        )
        if isinstance(error, self._openai.APIStatusError):
            if isinstance(error, retried) or error.status_code in (408, 409, 425):
                return asked_pause(error.response.headers)
            return -1
        return None  # the connection: cut, refused, timed out

    def unreached(self, error: Exception) -> bool:
        """Whether there was no connection at all."""
        late = isinstance(error, self._openai.APITimeoutError)
        return isinstance(error, self._openai.APIConnectionError) and not late

    def puts_off(self, error: Exception) -> bool:
        """Whether the server only asks for patience (HTTP 429)."""
        return isinstance(error, self._openai.RateLimitError)

    def ends_all(self, error: Exception) -> bool:
        """Whether every other call would fail alike: the key, or the model's name."""
        kinds = (
            self._openai.AuthenticationError,
            self._openai.PermissionDeniedError,
            self._openai.NotFoundError,
        )
        return isinstance(error, kinds)

    def told(self, error: Exception) -> str:
        """An error in a line, without the key."""
        status = getattr(error, "status_code", None)
        if isinstance(error, self._openai.AuthenticationError | self._openai.PermissionDeniedError):
            return f"the server does not take the key (HTTP {status})"  # its own words may show a part of it
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        text = " ".join(str(error).split())
        return f"{kind}: {text.replace(self._key, '…') if self._key else text}"[:300]


def _reply(body: str, seconds: float) -> Reply:
    """A reply from the body of an answer; an empty one where it holds none: it was paid for all the same."""
    try:
        said = json.loads(body)
        used = said.get("usage") or {}
        message = (said.get("choices") or [{}])[0].get("message") or {}
        text = message.get("content") or message.get("refusal") or ""
        return Reply(
            str(text),
            int(used.get("prompt_tokens", 0)),
            int(used.get("completion_tokens", 0)),
            seconds,
        )
    except (ValueError, AttributeError, TypeError, IndexError):
        return Reply("", seconds=seconds)


class _Work:
    """One run of `ChatServer.answer`: as many workers as calls may be under way, which draw from one iterator."""

    def __init__(
        self,
        server: ChatServer,
        requests: Iterator[Request],
        spending: Spending,
        take: Take,
        bar: Bar,
    ) -> None:
        self.server, self.requests, self.spending, self.take, self.bar = (
            server,
            requests,
            spending,
            take,
            bar,
        )
        self.failures: dict[str, str] = {}
        self.in_a_row = self.unreached = 0
        self.began, self.taken = time.monotonic(), 0

    async def run(self) -> None:
        self.pace = Pace(self.server.config.concurrency)
        try:
            async with self.server.client() as client, asyncio.TaskGroup() as group:
                for _ in range(self.server.config.concurrency):
                    group.create_task(self._worker(client))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _worker(self, client: Any) -> None:
        for request in self.requests:
            failure = await self._answer(client, request)
            if failure:
                self.failures[request.key] = failure
            self.bar.advance(1, self._note())

    async def _answer(self, client: Any, request: Request) -> str:
        """Get one reply, in several tries if need be, being put off not counted; returns why there is none."""
        server, told, failed = self.server, "", 0
        while failed < server.config.tries:
            async with self.pace.turn():
                while (
                    capped := self.spending.begin(request.characters)
                ) and self.spending.under_way:
                    await asyncio.sleep(
                        SETTLING
                    )  # calls under way count at their dearest until they are done
                if capped:
                    return f"{NOT_ASKED}{capped}"
                reply = None
                try:
                    reply = await server.call(client, request)
                except server.errors as error:
                    told, asked, put_off = (
                        server.told(error),
                        server.patience(error),
                        server.puts_off(error),
                    )
                    unreached = not self.taken and server.unreached(error)
                    if server.ends_all(error):
                        raise GeneratorError(f"{server.name} at {server.url}: {told}") from None
                finally:
                    self.spending.end(request.characters, reply)
                if reply is not None:
                    self.take(request, reply)
                    self.taken, self.in_a_row = self.taken + 1, 0
                    self.pace.faster()
                    return ""
                self.in_a_row += 1
                self.unreached = self.unreached + 1 if unreached else 0
                if self.unreached >= 2 * server.config.concurrency:
                    raise GeneratorError(
                        f"{server.url} does not answer: {told}. Is the server of {server.name} running?"
                    )
                if self.in_a_row >= server.config.tries * server.config.concurrency:
                    raise GeneratorError(
                        f"{server.name} at {server.url}: {self.in_a_row} calls failed; the last: {told}"
                    )
                if asked == -1:
                    return told
                pause = (
                    min(LONGEST_WAIT, server.config.backoff * 2**failed) if asked is None else asked
                )
                self.pace.slower(pause)
                failed += not put_off
        return f"given up after {server.config.tries} tries: {told}"

    def _note(self) -> str:
        rate = self.taken / max(1e-9, time.monotonic() - self.began)
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        cost = "" if self.spending.cost is None else f", cost {self.spending.cost:.2f}"
        return f"{rate:.1f} replies/s{failed}{cost}"
