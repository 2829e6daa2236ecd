"""A language model as a generator of queries.

Requests become prompts, prompts become replies, which are stored, and replies become queries.
"""

import logging
from collections.abc import Callable, Sequence

from whet.files import digest
from whet.generate.answerer import Answerer, Call
from whet.generate.parse_reply import queries_in
from whet.generate.prompts import Prompt
from whet.generate.reply_store import Reply, ReplyStore
from whet.generate.spending import NOT_MADE, Spending
from whet.records import GenerationRequest, GenerationResult

logger = logging.getLogger(__name__)

CUT_SHORT = "cut short"  # begins the failure of a reply that its token limit ended


class ModelGenerator:
    """Makes the calls whose replies are not stored yet; a `records.Generator`.

    Args:
        answerer: the model.
        prompt: turns a request into messages.
        replies: holds all replies, under the hash of model and prompt.
        spending: the limits, and what was spent.
        check_costs: gets the calls to be made and the number of queries that they are for, before
            the first call. It raises ConfigError where nobody agreed to the costs.
    """

    def __init__(
        self,
        answerer: Answerer,
        prompt: Prompt,
        replies: ReplyStore,
        spending: Spending,
        check_costs: Callable[[Sequence[Call], int], None],
    ) -> None:
        self.answerer = answerer
        self.prompt = prompt
        self.replies = replies
        self.spending = spending
        self.check_costs = check_costs

    @property
    def name(self) -> str:
        """The model's name."""
        return self.answerer.name

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """Queries for every request, in order.

        Raises GeneratorError when going on is hopeless; replies that arrived before are stored.
        """
        keys = [self._call(request).key for request in requests]
        stored = self.replies.find(keys)
        # Equal requests have equal keys and share one call.
        request_of = dict(zip(keys, requests, strict=True))
        missing = [request_of[key] for key in request_of if key not in stored]
        failures: dict[str, str] = {}
        if missing:
            failures = self._make_calls(missing)
            stored = self.replies.find(keys)
        results: list[GenerationResult] = []
        for key, request in zip(keys, requests, strict=True):
            if key in stored:
                reply = stored[key]
                result = self._result(reply, request.count)
            else:
                failure = failures[key]
                result = GenerationResult((), failure)
            results.append(result)
        self._warn_of_cut_replies(results)
        return results

    def _make_calls(self, requests: Sequence[GenerationRequest]) -> dict[str, str]:
        """Make a call for each request; returns why some have no reply, by key."""
        calls = [self._call(request) for request in requests]
        queries = sum(request.count for request in requests)
        self.check_costs(calls, queries)
        failures = self.answerer.answer(calls, self.spending, self._store)
        reasons = list(failures.values())
        outcome = _outcome(len(calls), reasons)
        spent = self.spending.line()
        logger.info(f"{self.name}: {spent}; {outcome}")
        return failures

    def _warn_of_cut_replies(self, results: Sequence[GenerationResult]) -> None:
        cut = [result for result in results if result.failure.startswith(CUT_SHORT)]
        if cut:
            logger.warning(
                f"{len(cut):,} of {len(results):,} replies hold no query and were {CUT_SHORT} "
                f"at {self._reply_limit}"
            )

    @property
    def _reply_limit(self) -> str:
        tokens = self.spending.config.reply_tokens
        return f"generate.reply_tokens ({tokens:,}): raise it, for a model that thinks first"

    def _result(self, reply: Reply, most: int) -> GenerationResult:
        result = queries_in(reply.text, most)
        token_limit = self.spending.config.reply_tokens
        if result.texts or reply.tokens_out < token_limit:
            return result
        failure = f"{CUT_SHORT} at {self._reply_limit}"
        return GenerationResult((), failure)

    def _store(self, call: Call, reply: Reply) -> None:
        self.replies.put(call.key, reply)

    def _call(self, request: GenerationRequest) -> Call:
        messages = self.prompt.messages(request)
        key = digest(self.answerer.fingerprint, messages)
        return Call(key, messages)


def _outcome(calls: int, failures: Sequence[str]) -> str:
    """Say how many calls failed, and how many a limit forbade."""
    forbidden = [failure for failure in failures if failure.startswith(NOT_MADE)]
    failed = len(failures) - len(forbidden)
    outcome = f"{failed:,} of {calls:,} calls failed"
    if not forbidden:
        return outcome
    limit = forbidden[0].removeprefix(NOT_MADE)
    return (
        f"{outcome}; {len(forbidden):,} not made: {limit}; raise it and give the same command again"
    )
