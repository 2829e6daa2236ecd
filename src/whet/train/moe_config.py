"""Settings of a Mixture of Experts; each field's description is its help text.

They are not in `whet.moe`, for importing that registers classes with transformers, and reading a
recipe is to load neither torch nor transformers.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

BALANCE_WEIGHT = 0.01  # that of Switch Transformers (arXiv 2101.03961, eq. 4)
Z_WEIGHT = 0.001  # that of ST-MoE (arXiv 2202.08906, eq. 5)


class MoEConfig(BaseModel):
    """Which layers become experts, and how a token is sent to an expert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experts: int = Field(
        0,
        ge=0,
        le=64,
        description="experts that replace each chosen layer; 0 leaves the model dense",
    )
    top_k: int = Field(1, ge=1, description="experts that each token goes through")
    router: Literal["learned", "reference"] = Field(
        "learned",
        description="learned: the gate learns; reference: as the paper's code weighs experts, "
        "where the gate does not learn at top_k 1",
    )
    site: Literal["intermediate", "output"] = Field(
        "intermediate",
        description="which dense layers become experts",
    )
    layers: str | tuple[int, ...] = Field(
        "all",
        description="all, last-N, or a list of layer numbers from 0",
    )
    balance_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the load-balancing loss; by default 0.01, and 0 with the reference "
        "router",
    )
    z_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the router z-loss; by default 0.001, and 0 with the reference "
        "router",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="learning rate of the gates; by default that of the other weights",
    )

    @model_validator(mode="after")
    def _experts_fit(self) -> "MoEConfig":
        if self.experts == 1:
            raise ValueError(
                "experts is 1: a layer with one expert is dense; give 0 (off) or at least 2"
            )
        if self.experts and self.top_k > self.experts:
            raise ValueError(f"top_k is {self.top_k}, more than the {self.experts} experts")
        return self

    @property
    def balance(self) -> float:
        """The load-balancing weight in force."""
        return self._in_force(self.balance_weight, BALANCE_WEIGHT)

    @property
    def z(self) -> float:
        """The z-loss weight in force."""
        return self._in_force(self.z_weight, Z_WEIGHT)

    def _in_force(self, weight: float | None, default: float) -> float:
        if weight is not None:
            return weight
        if self.router == "reference":  # the paper's code has no such losses
            return 0.0
        return default
