"""Settings of the forgetting check and of interpolation; each description is its help text."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# What `guard.data` may be besides data.
PYDOC = "pydoc"
NO_GUARD = "none"


class GuardConfig(BaseModel):
    """The forgetting check, and the interpolation between base and tuned weights that it limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        PYDOC,
        description="forgetting check, a general set scored beside dev: pydoc (the documentation "
        "of this Python), data as `whet tune` takes it, the name of a NanoBEIR set on the hub such "
        "as NanoNQ, or none",
    )
    budget: float = Field(
        0.01,
        ge=0,
        le=1,
        description="nDCG@10 that the model may lose on the forgetting check",
    )
    interpolate: bool = Field(
        False,
        description="interpolate between base and tuned weights (WiSE-FT, arXiv 2109.01903): "
        "take the interpolation weight with the best dev score within the budget; where dev has "
        "too few queries to tell, the largest that is not shown to be worse",
    )
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="interpolation weights that are tried; 1 is the trained model",
    )
    queries: int = Field(
        600,
        ge=1,
        description="number of queries of the set that are used, at most",
    )
    passages: int = Field(
        600,
        ge=1,
        description="passages that are searched: all positives, and others at random",
    )
    seed: int = Field(13, ge=0, description="seed of the random draws")
