"""A language model as a generator: briefs become prompts, prompts become replies that are kept, replies queries."""

from collections.abc import Callable, Sequence
from typing import Protocol

from rich.markup import escape

from whet.artifacts import digest
from whet.generate.chat import Request, Take
from whet.generate.parse_reply import queries_in
from whet.generate.prompts import Prompt
from whet.generate.reply_store import Reply, ReplyStore
from whet.generate.spending import NOT_ASKED, Spending
from whet.progress import say
from whet.records import GenerationRequest, GenerationResult

CUT = "cut short"


class Answerer(Protocol):
    """Answers prompts: `chat.ChatServer` or `local.LocalModel`."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a reply, beside the prompt."""
        ...

    def answer(self, requests: Sequence[Request], spending: Spending, take: Take) -> dict[str, str]:
        """Hand each reply to `take` as it comes; returns why others failed, by key."""
        ...


class ModelGenerator:
    """Asks for what the store does not hold, and reads everything from there; a `records.Generator`.

    Args:
        answerer: the model.
        prompt: what is asked for a brief.
        replies: where replies are kept, under the hash of model and prompt.
        spending: caps, and what was spent.
        confirm: called with the requests to be made, and how many queries they are for, before the first is.
    """

    def __init__(
        self,
        answerer: Answerer,
        prompt: Prompt,
        replies: ReplyStore,
        spending: Spending,
        confirm: Callable[[Sequence[Request], int], None],
    ) -> None:
        self.answerer, self.prompt, self.replies = answerer, prompt, replies
        self.spending, self.confirm = spending, confirm

    @property
    def name(self) -> str:
        """The model's name."""
        return self.answerer.name

    def generate(self, briefs: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """Queries for every brief, in order; raises GeneratorError when the model cannot be queried any further."""
        keys = [self._request(brief).key for brief in briefs]
        known = self.replies.find(keys)
        missing = {key: brief for key, brief in zip(keys, briefs, strict=True) if key not in known}
        failures: dict[str, str] = {}
        if missing:
            requests = [self._request(brief) for brief in missing.values()]
            self.confirm(requests, sum(brief.count for brief in missing.values()))
            failures = self.answerer.answer(requests, self.spending, self._take)
            say(
                f"{escape(self.name)}: {self.spending.line()}; {_outcome(len(requests), list(failures.values()))}"
            )
            known = self.replies.find(keys)
        written = [
            self._read(known[key], brief.count)
            if key in known
            else GenerationResult((), failures[key])
            for key, brief in zip(keys, briefs, strict=True)
        ]
        if cut := sum(one.failure.startswith(CUT) for one in written):
            say(
                f"[yellow]{cut:,} of {len(briefs):,} replies hold no query and were {CUT} at {self._limit}[/yellow]"
            )
        return written

    @property
    def _limit(self) -> str:
        return f"generate.reply_tokens ({self.spending.config.reply_tokens:,}): raise it, for a model that thinks first"

    def _read(self, reply: Reply, most: int) -> GenerationResult:
        found = queries_in(reply.text, most)
        cut = not found.texts and reply.tokens_out >= self.spending.config.reply_tokens
        return GenerationResult((), f"{CUT} at {self._limit}") if cut else found

    def _take(self, request: Request, reply: Reply) -> None:
        self.replies.put(request.key, reply)

    def _request(self, brief: GenerationRequest) -> Request:
        messages = self.prompt.messages(brief)
        return Request(digest(self.answerer.fingerprint, messages), messages)


def _outcome(calls: int, failures: Sequence[str]) -> str:
    """What became of calls, in words; those that a cap forbade apart."""
    capped = [why.removeprefix(NOT_ASKED) for why in failures if why.startswith(NOT_ASKED)]
    failed = f"{len(failures) - len(capped):,} of {calls:,} calls failed"
    if not capped:
        return failed
    return (
        f"{failed}; {len(capped):,} not made: {capped[0]}; raise it and give the same command again"
    )
