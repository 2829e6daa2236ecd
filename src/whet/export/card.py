"""The model card: where a tuned model comes from, whether it got better, how to load it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from whet.evaluate.verdict import Evaluation, p_words, points, signed
from whet.templates import environment

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tuned model comes from.

    `base` and `data` are names as the user knows them; `sizes` says how many of what ("training queries" → 2516);
    `settings` are the training settings worth telling; `licence` is the base model's, None where it is not known;
    `note` is what else a reader of the evaluation must know, `account` are sentences on what was done and why.
    """

    base: str
    data: str
    sizes: Mapping[str, int]
    evaluation: Evaluation
    settings: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    note: str | None = None
    account: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a reader needs to know of the vectors: their dimension, tokens read of a text, how they are compared.

    A model with `experts` brings its own code and needs leave to run it.
    """

    dim: int
    tokens: int
    similarity: str
    experts: bool = False


def render_card(name: str, origin: Origin, model: ModelFacts, formats: Sequence[str] = ()) -> str:
    """Write the card as Markdown, under the YAML header that model hubs read; `formats` are those besides ST's own."""
    templates = environment("whet.export", autoescape=False, keep_trailing_newline=True)
    templates.filters |= {"points": points, "signed": signed, "p_words": p_words}
    header = f"---\n{yaml.safe_dump(_metadata(origin), sort_keys=False, allow_unicode=True)}---\n"
    return templates.get_template("card.md.j2").render(
        header=header,
        name=name,
        origin=origin,
        model=model,
        formats=formats,
        licence=origin.licence,
    )


def licence_of(model_dir: Path) -> str | None:
    """Licence that the card in a model's folder names, None where there is no card or it names none.

    >>> licence_of(Path("/nowhere")) is None
    True
    """
    card = model_dir / "README.md"
    header = (
        _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
        if card.is_file()
        else None
    )
    try:
        metadata = yaml.safe_load(header[1]) if header else None
    except yaml.YAMLError:
        return None
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    return licence if isinstance(licence, str) else None


def _metadata(origin: Origin) -> dict[str, Any]:
    known: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
    }
    if _HUB_ID.fullmatch(origin.base):  # hubs refuse a base model that is a path
        known["base_model"] = origin.base
    if origin.licence:
        known["license"] = origin.licence
    return known | {
        "tags": ["sentence-transformers", "feature-extraction", "sentence-similarity", "whet"]
    }
