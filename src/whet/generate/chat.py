"""Language models behind a server that speaks OpenAI's protocol; each reply is stored as it comes.

The openai client tries a call again by itself: after HTTP 408, 409, 429 and 5xx, timeouts and lost
connections. It waits 0.5 to 8 s, or as long as the server's Retry-After says, up to two minutes.
This module adds what the client does not do:

- `concurrency` workers share the calls. A call that waits for its next try keeps its worker, so a
  server that limits the rate slows all calls down.
- A call that was refused for its rate (HTTP 429) in all its tries is made again. Servers limit
  rates by the minute, and without Retry-After the client gives up after 15 s.
- Any other call that failed gets a recorded reason. Too many failures in a row end the work.
- What concerns all calls ends the work at once: a wrong key, no such model, no server.

A reply that arrived is never paid for again, however bad it is.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from whet.errors import ConfigError, GeneratorError, require
from whet.files import digest
from whet.generate.answerer import Call, OnReply
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply
from whet.generate.spending import NOT_MADE, Spending
from whet.progress import Bar
from whet.servers import check_address

OPENAI_URL = "https://api.openai.com/v1"
PRESETS = {
    "openai": (None, "OPENAI_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY"),
    "vllm": ("http://localhost:8000/v1", "VLLM_API_KEY"),
    "ollama": ("http://localhost:11434/v1", "OLLAMA_API_KEY"),
    "llamacpp": ("http://localhost:8080/v1", "LLAMACPP_API_KEY"),
}
"""Server → its address, and the environment variable of its key.

None stands for OPENAI_BASE_URL, or OpenAI's own address.
"""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
LIMIT_POLL_SECONDS = 0.05  # between looks at the limits, while calls are under way
RATE_PAUSE_SECONDS = 1.0  # before a call that the client has given up is made again
RATE_PATIENCE_SECONDS = 120.0  # without any reply, beyond the timeout of a call
MAX_ERROR_CHARACTERS = 300  # of a server's error that a message shows

RESPONSE_SCHEMA = {
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

REFUSALS = {
    "response_format": ("response_format", "schema"),
    "max_tokens": ("max_completion_tokens",),
    "temperature": ("temperature",),
}
"""Option of a call → words of a server that does not take it."""


class ChatServer:
    """A model of a chat server; an `answerer.Answerer`.

    The key is read from the server's environment variable. It is kept out of fingerprints, errors
    and messages. Raises ConfigError where a server that needs a key has none.
    """

    def __init__(self, server: str, model: str, url: str | None, config: GenerateConfig) -> None:
        preset_url, variable = PRESETS[server]
        self.model = model
        self.config = config
        self.url = url or preset_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        self._address = check_address(model, self.url, variable)
        self._is_local = self._address.hostname in LOCAL_HOSTS
        self._key = os.environ.get(variable, "")
        if not self._key and not self._is_local:
            place = f"{server}:{model} at {self.url}"
            raise ConfigError(f"{place} needs a key: export {variable}=…")
        self._openai = require("openai", "openai")
        self.errors: tuple[type[Exception], ...] = (self._openai.OpenAIError,)
        self._refused_options: set[str] = set()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def fingerprint(self) -> str:
        """Hash of model, address and what decides a reply.

        It cannot tell when a server changes the model behind a name.
        """
        return digest(
            "chat",
            self.model,
            self.url,
            self.config.temperature,
            self.config.reply_tokens,
        )

    def answer(
        self, calls: Sequence[Call], spending: Spending, on_reply: OnReply
    ) -> dict[str, str]:
        """Make the calls and hand each reply to `on_reply` as it arrives.

        Returns why the others have none: key of the call → reason. Raises GeneratorError when going
        on is hopeless.
        """
        with Bar(f"generate with {self.name}", len(calls)) as bar:
            workers = _Workers(self, iter(calls), spending, on_reply, bar)
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                asyncio.run(workers.run())
            else:  # a notebook runs a loop of its own in this thread
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, workers.run()).result()
        return workers.failures

    def client(self) -> Any:
        """A client that tries each call `config.tries` times."""
        return self._openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            max_retries=self.config.tries - 1,
            timeout=self.config.timeout,
        )

    async def check_running(self) -> None:
        """Raise GeneratorError where nothing listens at an address of this machine.

        The client would find out too, after all its tries.
        """
        if not self._is_local:
            return
        host = self._address.hostname
        default_port = 443 if self._address.scheme == "https" else 80
        port = self._address.port or default_port
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            message = self.unreached_message(str(error))
            raise GeneratorError(message) from None
        writer.close()

    async def call(self, client: Any, call: Call) -> Reply:
        """Make one call; raises what the client raises.

        An option that the server refuses is left out, of this call and of all that follow.
        """
        create = client.chat.completions.with_raw_response.create
        options = self._options()
        try:
            response = await create(
                model=self.model,
                messages=call.messages,
                **options,
            )
        except (self._openai.BadRequestError, self._openai.UnprocessableEntityError) as error:
            option = _refused_option(str(error))
            if option not in options:
                raise
            self._refused_options.add(option)
            return await self.call(client, call)
        seconds = response.elapsed.total_seconds()  # of the last try
        return _parse_response(response.text, round(seconds, 3))

    def _options(self) -> dict[str, Any]:
        """The options of a call, without those that the server refuses."""
        token_limit = self.config.reply_tokens
        options = {
            "response_format": RESPONSE_SCHEMA,
            "max_tokens": token_limit,
            "temperature": self.config.temperature,
        }
        for option in self._refused_options:
            del options[option]
        if "max_tokens" not in options:
            options["max_completion_tokens"] = token_limit  # its name with newer models
        return options

    def tries_of(self, error: Exception) -> int:
        """How often the client has tried the call that ended with this error."""
        request = getattr(error, "request", None)
        if request is None:
            return 1
        retries = request.headers.get("x-stainless-retry-count", "0")
        return 1 + int(retries)

    def is_rate_limited(self, error: Exception) -> bool:
        """Whether the server only asks for patience (HTTP 429)."""
        return isinstance(error, self._openai.RateLimitError)

    def is_unreached(self, error: Exception) -> bool:
        """Whether there was no connection at all."""
        if isinstance(error, self._openai.APITimeoutError):
            return False
        return isinstance(error, self._openai.APIConnectionError)

    def is_key_refused(self, error: Exception) -> bool:
        """Whether the server does not accept the key."""
        kinds = (self._openai.AuthenticationError, self._openai.PermissionDeniedError)
        return isinstance(error, kinds)

    def is_fatal(self, error: Exception) -> bool:
        """Whether every other call would fail for the same reason."""
        if self.is_rate_limited(error):
            # The client stops early where the server forbids it: no quota is left, or Retry-After
            # is above two minutes.
            return self.tries_of(error) < self.config.tries
        is_unknown_model = isinstance(error, self._openai.NotFoundError)
        return is_unknown_model or self.is_key_refused(error)

    def describe(self, error: Exception) -> str:
        """An error in one line, without the key."""
        status = getattr(error, "status_code", None)
        if self.is_key_refused(error):  # the server's own words may show a part of the key
            return f"the server does not take the key (HTTP {status})"
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        words = str(error).split()
        text = " ".join(words)
        if self._key:
            text = text.replace(self._key, "…")
        line = f"{kind}: {text}"
        return line[:MAX_ERROR_CHARACTERS]

    def unreached_message(self, reason: str) -> str:
        """What to say where there is no connection."""
        return f"{self.url} does not answer: {reason}. Is the server of {self.name} running?"


def _refused_option(message: str) -> str:
    """The option that a server's error message blames; "" where it blames none."""
    message = message.lower()
    for option, words in REFUSALS.items():
        if any(word in message for word in words):
            return option
    return ""


def _parse_response(body: str, seconds: float) -> Reply:
    """A reply from the body of a response; an empty one where it holds none.

    Such a reply is stored too: it was paid for.
    """
    try:
        response = json.loads(body)
        choices = response.get("choices") or [{}]
        message = choices[0].get("message") or {}
        text = message.get("content") or message.get("refusal") or ""
        usage = response.get("usage") or {}
        tokens_in = int(usage.get("prompt_tokens", 0))
        tokens_out = int(usage.get("completion_tokens", 0))
    except (ValueError, AttributeError, TypeError, IndexError):
        return Reply("", seconds=seconds)
    return Reply(str(text), tokens_in, tokens_out, seconds)


class _Workers:
    """The workers of one `ChatServer.answer`; they take calls from one iterator."""

    def __init__(
        self,
        server: ChatServer,
        calls: Iterator[Call],
        spending: Spending,
        on_reply: OnReply,
        bar: Bar,
    ) -> None:
        self.server = server
        self.config = server.config
        self.calls = calls
        self.spending = spending
        self.on_reply = on_reply
        self.bar = bar
        self.failures: dict[str, str] = {}
        self.replies = 0
        self.failed_tries = 0  # since the last reply
        self.started = time.monotonic()
        self.last_reply = self.started

    async def run(self) -> None:
        """Make all calls. Raises the first error of any worker."""
        await self.server.check_running()
        try:
            async with self.server.client() as client, asyncio.TaskGroup() as group:
                for _ in range(self.config.concurrency):
                    group.create_task(self._work(client))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self, client: Any) -> None:
        for call in self.calls:
            failure = await self._answer(client, call)
            if failure:
                self.failures[call.key] = failure
            self.bar.advance(1, self._note())

    async def _answer(self, client: Any, call: Call) -> str:
        """Get the reply of one call; returns why there is none, "" where there is one."""
        while True:
            limit = await self._begin(call)
            if limit:
                return f"{NOT_MADE}{limit}"
            try:
                reply = await self._reply(client, call)
            except self.server.errors as error:
                self._raise_if_hopeless(error)
                if not self.server.is_rate_limited(error):
                    return self._failure(error)
                await asyncio.sleep(RATE_PAUSE_SECONDS)
            else:
                self.on_reply(call, reply)
                self.replies += 1
                self.failed_tries = 0
                self.last_reply = time.monotonic()
                return ""

    async def _begin(self, call: Call) -> str:
        """Count a call that is about to be made; returns the limit that forbids it, or "".

        Calls under way count as if their replies had full length. So a limit that seems to be
        reached may leave room once they are done.
        """
        limit = self.spending.begin(call.characters)
        while limit and self.spending.calls_under_way:
            await asyncio.sleep(LIMIT_POLL_SECONDS)
            limit = self.spending.begin(call.characters)
        return limit

    async def _reply(self, client: Any, call: Call) -> Reply:
        """Make a call that has begun, and count its end."""
        reply = None
        try:
            reply = await self.server.call(client, call)
        finally:
            self.spending.end(call.characters, reply)
        return reply

    def _failure(self, error: Exception) -> str:
        """The reason to record for a call that ended with this error."""
        tries = self.server.tries_of(error)
        description = self.server.describe(error)
        if tries == 1:
            return description
        return f"given up after {tries} tries: {description}"

    def _raise_if_hopeless(self, error: Exception) -> None:
        """Count a failed call; raises GeneratorError where no other call is likely to succeed."""
        server = self.server
        description = server.describe(error)
        where = f"{server.name} at {server.url}"
        if server.is_fatal(error):
            raise GeneratorError(f"{where}: {description}") from None
        if server.is_rate_limited(error):
            silence = time.monotonic() - self.last_reply
            if silence > RATE_PATIENCE_SECONDS + self.config.timeout:
                message = f"no reply for {silence:.0f} s; the last: {description}"
                raise GeneratorError(f"{where}: {message}") from None
            return
        self.failed_tries += server.tries_of(error)
        most_tries = self.config.tries * self.config.concurrency
        if self.failed_tries < most_tries:
            return
        if not self.replies and server.is_unreached(error):
            raise GeneratorError(server.unreached_message(description)) from None
        message = f"{self.failed_tries} tries failed in a row; the last: {description}"
        raise GeneratorError(f"{where}: {message}") from None

    def _note(self) -> str:
        """Speed, failures and cost so far."""
        seconds = time.monotonic() - self.started
        rate = self.replies / max(1e-9, seconds)
        note = f"{rate:.1f} replies/s"
        if self.failures:
            note += f", {len(self.failures):,} failed"
        if self.spending.cost is not None:
            note += f", cost {self.spending.cost:.2f}"
        return note
