"""What generation will cost, what it has cost, and the limits where it must stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply

CHARACTERS_PER_TOKEN = 3.5  # of English, with a margin; scripts without spaces have more tokens
SECONDS_PER_CALL = 2.0  # a guess
TOKENS_PER_QUERY = 30  # of a reply
NOT_MADE = "not asked: "  # begins the reason why a call was not made, where a limit forbade it

Confirm = Callable[[str], bool]
"""Answers a question about costs; True agrees to them."""


def refuse(question: str) -> bool:  # noqa: ARG001 - the signature of Confirm
    """Agree to no costs: the default of every library call."""
    return False


def agree(question: str) -> bool:  # noqa: ARG001 - the signature of Confirm
    """Agree to all costs."""
    return True


@dataclass
class Spending:
    """Calls, tokens and money so far, against the limits of a config.

    A call that is under way counts as if its reply had the greatest length allowed. So the limits
    hold whatever the replies bring.
    """

    config: GenerateConfig
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    calls_under_way: int = 0
    prompt_tokens_under_way: int = 0

    def __post_init__(self) -> None:
        if self.config.max_cost is not None and self.cost is None:
            raise ConfigError(
                "generate.max_cost needs generate.price_in and generate.price_out "
                "(of a million tokens)"
            )

    @property
    def cost(self) -> float | None:
        """Money so far; None where no prices are given."""
        return self._cost(self.tokens_in, self.tokens_out)

    def begin(self, characters: int) -> str:
        """Count a call that is about to be made, with a prompt of that many characters.

        Returns the limit that forbids the call; "" where none does.
        """
        prompt_tokens = round(characters / CHARACTERS_PER_TOKEN)
        limit = self._limit_reached(prompt_tokens)
        if not limit:
            self.calls += 1
            self.calls_under_way += 1
            self.prompt_tokens_under_way += prompt_tokens
        return limit

    def end(self, characters: int, reply: Reply | None) -> None:
        """Count the end of a call; `reply` is None where it failed."""
        self.calls_under_way -= 1
        self.prompt_tokens_under_way -= round(characters / CHARACTERS_PER_TOKEN)
        if reply is not None:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out

    def estimate(self, characters: Sequence[int], queries: int) -> str:
        """Say what calls with prompts of that many characters will take, for that many queries."""
        calls = len(characters)
        tokens_in = round(sum(characters) / CHARACTERS_PER_TOKEN)
        tokens_out = TOKENS_PER_QUERY * queries
        cost = self._cost(tokens_in, tokens_out)
        if cost is None:
            money = "cost unknown (give generate.price_in and price_out)"
        else:
            money = f"cost about {cost:.2f}"
        concurrency = self.config.concurrency
        seconds = SECONDS_PER_CALL * calls / concurrency
        minutes = max(1, round(seconds / 60))
        parts = [
            f"{calls:,} calls",
            f"about {tokens_in:,} tokens in and {tokens_out:,} out",
            money,
            f"some {minutes} min at {concurrency} calls at a time",
        ]
        return ", ".join(parts)

    def line(self) -> str:
        """Say what was spent, in one line."""
        parts = [
            f"{self.calls:,} calls",
            f"{self.tokens_in:,} tokens in and {self.tokens_out:,} out",
        ]
        if self.cost is not None:
            parts.append(f"cost {self.cost:.2f}")
        return ", ".join(parts)

    def _limit_reached(self, prompt_tokens: int) -> str:
        """The limit that one more call might pass; "" where none."""
        config = self.config
        max_calls = config.max_calls
        if max_calls is not None and self.calls >= max_calls:
            return f"generate.max_calls {max_calls:,} is reached"
        prompt_tokens += self.prompt_tokens_under_way
        tokens_in = self.tokens_in + prompt_tokens
        calls_open = self.calls_under_way + 1
        tokens_out = self.tokens_out + calls_open * config.reply_tokens
        max_tokens = config.max_tokens
        if max_tokens is not None and tokens_in + tokens_out > max_tokens:
            return f"generate.max_tokens {max_tokens:,} would be passed"
        max_cost = config.max_cost
        cost = self._cost(tokens_in, tokens_out) or 0.0
        if max_cost is not None and cost > max_cost:
            return f"generate.max_cost {max_cost:g} would be passed"
        return ""

    def _cost(self, tokens_in: int, tokens_out: int) -> float | None:
        price_in = self.config.price_in
        price_out = self.config.price_out
        if price_in is None or price_out is None:
            return None
        return (tokens_in * price_in + tokens_out * price_out) / 1e6
