"""Settings of hard-negative mining; each field's description is its help text."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Strategy = Literal["ance", "bm25", "random", "mix"]


class MineConfig(BaseModel):
    """How the hard negatives of a training query are found, filtered and picked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = Field(
        "ance",
        description="Where candidates come from: the model's own ranking (ance), BM25's (bm25), "
        "both in turn (mix), or a random draw (random).",
    )
    negatives: int = Field(
        4,
        ge=1,
        description="Negatives kept per query, those that the data gives first; training takes "
        "the first train.negatives of them.",
    )
    skip: int = Field(
        0,
        ge=0,
        description="Leave out this many of the first ranks, which are the most likely false "
        "negatives.",
    )
    depth: int = Field(100, ge=1, description="The last rank of the search that is looked at.")
    relative_margin: float | None = Field(
        0.05,
        ge=0,
        lt=1,
        description="Drop candidates that score higher than the positive less this share of its "
        "score; 0.05 as in sentence-transformers. They are likely relevant themselves "
        "(NV-Retriever, arXiv 2407.15831).",
    )
    absolute_margin: float | None = Field(
        None, description="Drop passages that score less than this below the positive."
    )
    max_score: float | None = Field(
        None, description="Drop passages that score above this, whatever the positive's score."
    )
    pick: Literal["top", "sample"] = Field(
        "top",
        description="Of the passages that are left, take the highest ranked (top) or draw at "
        "random (sample).",
    )
    seed: int = Field(
        13, ge=0, description="Seed of everything drawn: random candidates and sampled picks."
    )

    @model_validator(mode="after")
    def _window_is_open(self) -> "MineConfig":
        if self.skip >= self.depth:
            raise ValueError(
                f"skip is {self.skip} and depth {self.depth}: no rank is left, "
                "make depth larger than skip"
            )
        return self
