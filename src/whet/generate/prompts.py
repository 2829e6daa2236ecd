"""Prompts: template files with a system part, a line `---`, and a user part.

    queries.txt        training queries for a corpus without any
    reverse.txt        the query that a hard negative answers, CLP's h* (arXiv 2412.17364)
    paraphrases.txt    other wordings of a query (arXiv 2408.11868)
    plain.txt          the passage alone, for doc2query models, which know no instructions

A folder of the user's may replace any of them (`generate.prompts`). A passage is data, never an
instruction. It stands between two marker lines, which are made from its own hash: a passage that
held its own marker would have another hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from whet.errors import ConfigError
from whet.files import digest
from whet.records import GenerationRequest
from whet.templates import environment

if TYPE_CHECKING:
    from jinja2 import Template

BUILT_IN_PROMPTS = Path(__file__).parent / "prompts"
Purpose = Literal["queries", "reverse", "paraphrases"]
MAX_PASSAGE_CHARACTERS = 6000  # of a passage that a prompt shows
ALLOWED_NAMES = (
    "A prompt may use passage, query, count, style, marker and examples, in Jinja's {{ … }}."
)


@dataclass(frozen=True)
class Prompt:
    """One prompt file; `examples` are queries of the user's own."""

    path: Path
    examples: Sequence[str] = ()

    def messages(self, request: GenerationRequest) -> list[dict[str, str]]:
        """Fill the prompt for a request; returns chat messages, without empty ones.

        Raises ConfigError when the file is not a prompt.
        """
        passage = request.passage.content[:MAX_PASSAGE_CHARACTERS]
        marker_hash = digest(passage, request.query)[:12]
        messages: list[dict[str, str]] = []
        for role, template in self._templates.items():
            text = template.render(
                passage=passage,
                query=request.query,
                count=request.count,
                style=request.style,
                marker=f"===== {marker_hash} =====",
                examples=self.examples,
            ).strip()
            if text:
                messages.append({"role": role, "content": text})
        return messages

    @cached_property
    def _templates(self) -> "dict[str, Template]":
        """The templates of both parts by role; the system part may be empty."""
        from jinja2 import TemplateError

        jinja = environment("whet.generate", autoescape=False)
        try:
            text = self.path.read_text(encoding="utf-8")
            system, line, user = f"\n{text}".partition("\n---\n")
            if not line:
                user = system
                system = ""
            templates = {"system": jinja.from_string(system), "user": jinja.from_string(user)}
            for template in templates.values():
                template.render(
                    passage="", query="", count=1, style="question", marker="", examples=()
                )
        except (OSError, UnicodeDecodeError, TemplateError) as error:
            raise ConfigError(
                f"{self.path}: not a prompt that can be used: {error}. {ALLOWED_NAMES}"
            ) from error
        return templates


def prompt_of(
    purpose: Purpose | Literal["plain"], folder: Path | None = None, examples: Sequence[str] = ()
) -> Prompt:
    """The prompt file of the user's folder, or the built-in one where the folder has none.

    Raises ConfigError when there is no such folder.
    """
    file_name = f"{purpose}.txt"
    if folder is None:
        return Prompt(BUILT_IN_PROMPTS / file_name, tuple(examples))
    if not folder.is_dir():
        raise ConfigError(
            f"generate.prompts: {folder} is no folder; "
            f"`whet generate prompts {folder}` makes one to edit"
        )
    path = folder / file_name
    return Prompt(path if path.exists() else BUILT_IN_PROMPTS / file_name, tuple(examples))
