"""Settings of the teachers; each field's description is its help text."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from whet.teach.calibrate import Calibration
from whet.teach.labels import LabelKind


class TeachConfig(BaseModel):
    """Who scores the training pairs, and what label is made of it (arXiv 2408.11868)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teachers: tuple[str, ...] = Field(
        ("base", "bm25", "bm25-characters"),
        min_length=1,
        description="base, bm25, bm25-characters, a sentence-transformers model (folder or hub id; "
        "bi:, cross:, sparse: or late: before it where its folder does not say what it is), "
        "file:PATH, openai:MODEL[@URL]",
    )
    calibration: Calibration = Field(
        "minmax",
        description="how scores become numbers in [0, 1]: none (cut off), minmax or rank within a "
        "query, or background (against scores of random pairs)",
    )
    labels: LabelKind = Field(
        "soft-1",
        description="hard, soft-1 (consensus), soft-2 (blend with hard), soft-3 (envelope)",
    )
    alpha: float = Field(0.5, ge=0, le=1, description="share of the hard label in soft-2")
    weigh: Literal["equal", "quality"] = Field(
        "equal",
        description="equal: all teachers have the same weight; quality: weight by AUC on dev above "
        "chance",
    )
    background: int = Field(
        2000, ge=10, description="number of random pairs for the calibration background"
    )
    cross_pairs: int = Field(
        250_000,
        ge=0,
        description="score all pairs of a training query and a training passage, if they are at "
        "most this many",
    )
    audit_depth: int = Field(
        20, ge=1, description="ranks of the base model that the audit looks at"
    )
    suspect: float = Field(
        0.5, gt=0, lt=1, description="probability from which the audit suspects a passage"
    )
    seed: int = Field(13, ge=0, description="seed of the random pairs")
