"""What a chat server and a local language model have in common: calls in, replies out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from whet.generate.reply_store import Reply
from whet.generate.spending import Spending


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be made: chat messages, and the key that its reply is stored under."""

    key: str
    messages: list[dict[str, str]]

    @property
    def characters(self) -> int:
        """Length of the prompt."""
        return sum(len(message["content"]) for message in self.messages)


OnReply: TypeAlias = Callable[[Call, Reply], None]
"""Takes each reply as it arrives."""


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

    def answer(
        self, calls: Sequence[Call], spending: Spending, on_reply: OnReply
    ) -> dict[str, str]:
        """Make the calls and hand each reply to `on_reply` as it arrives.

        Returns why the others have none: key of the call → reason.
        """
        ...
