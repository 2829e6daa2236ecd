"""Prompts: files with a system part, a line `---`, and a user part, as templates of the passage and what is wanted.

    queries.txt        training queries for a corpus without any
    reverse.txt        the query that a mined negative answers, CLP's h* (arXiv 2412.17364)
    paraphrases.txt    other wordings of a query (arXiv 2408.11868)
    plain.txt          the passage and nothing else, for doc2query models, which know no instructions

A folder of the user's may replace any of them (`generate.prompts`). A passage is data: it stands between two lines that
it cannot hold, for they are made from its own hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined, Template, TemplateError

from whet.artifacts import digest
from whet.errors import ConfigError
from whet.records import GenerationRequest

OURS = Path(__file__).parent / "prompts"
Purpose = Literal["queries", "reverse", "paraphrases"]
CHARACTERS = 6000  # of a passage that a prompt shows


@dataclass(frozen=True)
class Prompt:
    """One prompt file, filled for a brief by `messages`; `examples` are queries of the user's own."""

    path: Path
    examples: Sequence[str] = ()

    def messages(self, brief: GenerationRequest) -> list[dict[str, str]]:
        """Chat messages: system, where the file has such a part, and user."""
        passage = brief.passage.content[:CHARACTERS]
        values = {
            "passage": passage,
            "query": brief.query,
            "count": brief.count,
            "style": brief.style,
            "marker": f"===== {digest(passage, brief.query)[:12]} =====",
            "examples": self.examples,
        }
        filled = {role: part.render(values).strip() for role, part in self._parts.items()}
        return [{"role": role, "content": text} for role, text in filled.items() if text]

    @cached_property
    def _parts(self) -> dict[str, Template]:
        made = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - no page
        try:
            system, line, user = f"\n{self.path.read_text(encoding='utf-8')}".partition("\n---\n")
            if not line:
                system, user = "", system
            found = {"system": made.from_string(system), "user": made.from_string(user)}
            for part in found.values():
                part.render(passage="", query="", count=1, style="question", marker="", examples=())
        except (OSError, UnicodeDecodeError, TemplateError) as error:
            raise ConfigError(
                f"{self.path}: not a prompt that can be used: {error}. {NAMES}"
            ) from error
        return found


NAMES = "A prompt may use passage, query, count, style, marker and examples, in Jinja's {{ … }}."


def prompt_of(
    purpose: Purpose | Literal["plain"], folder: Path | None = None, examples: Sequence[str] = ()
) -> Prompt:
    """The user's prompt file where the folder has one, else ours; raises ConfigError when the folder is not there."""
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            f"generate.prompts: {folder} is no folder; `whet generate prompts {folder}` makes one to edit"
        )
    own = folder / f"{purpose}.txt" if folder else None
    return Prompt(
        own if own is not None and own.exists() else OURS / f"{purpose}.txt", tuple(examples)
    )
