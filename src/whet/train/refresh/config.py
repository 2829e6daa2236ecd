"""Settings of re-mining during training; each field's description is its help text."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from whet.train.config import off_from_yaml


def _parse_times(value: object) -> int | str:
    """A number of refreshes, "auto" or "off"; also as text, from the command line."""
    value = off_from_yaml(value)
    if value in ("auto", "off"):
        return str(value)
    is_number = isinstance(value, int | str) and not isinstance(value, bool)
    if is_number and str(value).isdecimal():
        return int(str(value))
    raise ValueError("expected a number from 0 on, auto or off")


class RefreshConfig(BaseModel):
    """How often hard negatives are re-mined during training (ANCE, arXiv 2007.00808), and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Annotated[int | Literal["auto", "off"], BeforeValidator(_parse_times)] = Field(
        "auto",
        description="how often negatives are re-mined, at equal distances; auto: as often as "
        "`share` allows, while it changes something",
    )
    cost: Literal["auto", "full", "pool"] = Field(
        "auto",
        description="what is encoded: the whole corpus (full), or the pool of passages that "
        "ranked high so far; auto takes the pool where it saves a quarter",
    )
    share: float = Field(
        0.15,
        gt=0,
        le=1,
        description="share of the training's work that auto may spend on re-mining",
    )
    depth: int = Field(
        20,
        ge=1,
        description="best ranks of every query that stay in the pool; at most mine.depth",
    )
    sample: float = Field(
        0.02,
        gt=0,
        le=1,
        description="share of the other passages that the pool takes at random",
    )
    overlap: float = Field(
        0.9,
        gt=0,
        le=1,
        description="auto skips a re-mining if the one before kept at least this share of the "
        "negatives",
    )
    generate: bool = Field(
        False,
        description="let a language model generate positive queries (h*) of new negatives, at its "
        "price",
    )
    background: bool = Field(
        False,
        description="re-mine in a second process while training goes on",
    )

    @model_validator(mode="after")
    def _is_used(self) -> "RefreshConfig":
        idle = [name for name in ("background", "generate") if getattr(self, name)]
        if self.off and idle:
            by_default = ", the default on small data" if self.times == "off" else ""
            raise ValueError(
                f"times is {self.times}{by_default}, so {' and '.join(idle)} would do nothing: "
                "give times, too (--refresh N), or leave that out"
            )
        return self

    @property
    def off(self) -> bool:
        """Whether negatives stay as they were mined before training."""
        return self.times in (0, "off")
