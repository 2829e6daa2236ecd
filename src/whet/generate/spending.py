"""What generation will cost, what it has cost, and where it must stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whet.errors import ConfigError
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply

CHARACTERS_PER_TOKEN = 3.5  # of English, with a margin; scripts without spaces have more tokens
SECONDS_PER_CALL = 2.0  # a guess
TOKENS_PER_QUERY = 30
NOT_ASKED = "not asked: "  # how the reason of a call begins that a cap forbade

Confirm = Callable[[str], bool]
"""Answers a question about costs; True agrees to them."""


def agree(question: str) -> bool:  # noqa: ARG001 - the signature of Confirm
    """Agree to whatever calls cost: --yes."""
    return True


def refuse(question: str) -> bool:  # noqa: ARG001 - the signature of Confirm
    """Agree to no costs: the default of every library call."""
    return False


@dataclass
class Spending:
    """Calls, tokens and money so far, against the caps of a config; what is under way counts at its dearest."""

    config: GenerateConfig
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    under_way: int = 0  # calls
    awaited: int = 0  # tokens of their prompts

    def __post_init__(self) -> None:
        if self.config.max_cost is not None and (
            self.config.price_in is None or self.config.price_out is None
        ):
            raise ConfigError(
                "generate.max_cost needs generate.price_in and generate.price_out (of a million tokens)"
            )

    @property
    def cost(self) -> float | None:
        """Money so far; None where no prices are given."""
        return self._cost(self.tokens_in, self.tokens_out)

    def begin(self, characters: int) -> str:
        """Count a call that is about to be made, or say which cap is against it ("" where none is)."""
        config, prompt = self.config, round(characters / CHARACTERS_PER_TOKEN)
        tokens_in = self.tokens_in + self.awaited + prompt
        tokens_out = self.tokens_out + (self.under_way + 1) * config.reply_tokens
        if config.max_calls is not None and self.calls >= config.max_calls:
            return f"generate.max_calls {config.max_calls:,} is reached"
        if config.max_tokens is not None and tokens_in + tokens_out > config.max_tokens:
            return f"generate.max_tokens {config.max_tokens:,} would be passed"
        if (
            config.max_cost is not None
            and (self._cost(tokens_in, tokens_out) or 0.0) > config.max_cost
        ):
            return f"generate.max_cost {config.max_cost:g} would be passed"
        self.calls += 1
        self.under_way += 1
        self.awaited += prompt
        return ""

    def end(self, characters: int, reply: Reply | None) -> None:
        """Count what a call brought; None where it failed."""
        self.under_way -= 1
        self.awaited -= round(characters / CHARACTERS_PER_TOKEN)
        if reply is not None:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out

    def estimate(self, characters: Sequence[int], queries: int) -> str:
        """What calls with prompts of that many characters will take, in words."""
        tokens_in = round(sum(characters) / CHARACTERS_PER_TOKEN)
        tokens_out = TOKENS_PER_QUERY * queries
        cost = self._cost(tokens_in, tokens_out)
        money = (
            "cost unknown (give generate.price_in and price_out)"
            if cost is None
            else f"cost about {cost:.2f}"
        )
        seconds = SECONDS_PER_CALL * len(characters) / self.config.concurrency
        return (
            f"{len(characters):,} calls, about {tokens_in:,} tokens in and {tokens_out:,} out, {money}, "
            f"some {max(1, round(seconds / 60))} min at {self.config.concurrency} calls at a time"
        )

    def line(self) -> str:
        """What was spent, in words."""
        money = "" if self.cost is None else f", cost {self.cost:.2f}"
        return (
            f"{self.calls:,} calls, {self.tokens_in:,} tokens in and {self.tokens_out:,} out{money}"
        )

    def _cost(self, tokens_in: int, tokens_out: int) -> float | None:
        if self.config.price_in is None or self.config.price_out is None:
            return None
        return (tokens_in * self.config.price_in + tokens_out * self.config.price_out) / 1e6
