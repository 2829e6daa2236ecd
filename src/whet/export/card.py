"""The model card: where a tuned model comes from, whether it got better, how to load it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from whet.evaluate.verdict import Evaluation, p_words, points, signed
from whet.templates import environment

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
TAGS = ("sentence-transformers", "feature-extraction", "sentence-similarity", "whet")


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """Where a tuned model comes from.

    `base` and `data` are names as the user knows them. `sizes` counts what the data holds
    ("training queries" → 2516). `settings` are those of training. `licence` is the base model's,
    None where it is unknown. `note` belongs to the evaluation. `account` holds sentences on what
    was done and why.
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
    """The dimension of the vectors, how many tokens of a text are read, how vectors are compared.

    A model with `experts` brings its own code, and transformers runs that only with consent.
    """

    dim: int
    tokens: int
    similarity: str
    experts: bool = False


def render_card(
    name: str, origin: ModelOrigin, model: ModelFacts, formats: Sequence[str] = ()
) -> str:
    """Write the card as Markdown, under the YAML header that model hubs read.

    `formats` are those beside the format of sentence-transformers.
    """
    templates = environment("whet.export", autoescape=False, keep_trailing_newline=True)
    templates.filters |= {"points": points, "signed": signed, "p_words": p_words}
    template = templates.get_template("card.md.j2")
    metadata = yaml.safe_dump(_metadata(origin), sort_keys=False, allow_unicode=True)
    return template.render(
        header=f"---\n{metadata}---\n",
        name=name,
        origin=origin,
        model=model,
        formats=formats,
        licence=origin.licence,
    )


def licence_of(model_dir: Path) -> str | None:
    """The licence that the card in a model's folder names; None where it names none.

    >>> licence_of(Path("/nowhere")) is None
    True
    """
    card = model_dir / "README.md"
    if not card.is_file():
        return None
    header = FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    if header is None:
        return None
    try:
        metadata = yaml.safe_load(header[1])
    except yaml.YAMLError:
        return None
    if not isinstance(metadata, dict):
        return None
    licence = metadata.get("license")
    return licence if isinstance(licence, str) else None


def _metadata(origin: ModelOrigin) -> dict[str, Any]:
    """The header's keys, in order."""
    metadata: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
    }
    # Hubs refuse a base model that is a path.
    if HUB_ID.fullmatch(origin.base):
        metadata["base_model"] = origin.base
    if origin.licence:
        metadata["license"] = origin.licence
    metadata["tags"] = list(TAGS)
    return metadata
