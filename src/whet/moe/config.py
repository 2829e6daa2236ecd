"""Settings of the Mixture of Experts; each field's description is its help text."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from whet.errors import ConfigError

# Those of Switch Transformers (arXiv 2101.03961, eq. 4) and of ST-MoE (arXiv 2202.08906, eq. 5).
BALANCE_WEIGHT = 0.01
Z_WEIGHT = 0.001


class MoEConfig(BaseModel):
    """Which layers become experts, and how tokens find theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experts: int = Field(0, ge=0, le=64, description="experts in place of each chosen layer; 0 leaves the model dense")
    top_k: int = Field(1, ge=1, description="experts that a token goes through")
    router: Literal["learned", "reference"] = Field(
        "learned", description="reference is the paper's code, whose gate does not learn at top_k 1"
    )
    level: Literal["token", "text"] = Field("token", description="what is routed: each token, or each text as a whole")
    site: Literal["intermediate", "output"] = Field("intermediate", description="which dense layers become experts")
    layers: str | tuple[int, ...] = Field("all", description="all, last-N, or a list of layer numbers from 0")
    balance_weight: float | None = Field(
        None, ge=0, description="of the load-balancing loss; by default 0.01, and 0 with the reference router"
    )
    z_weight: float | None = Field(
        None, ge=0, description="of the router z-loss; by default 0.001, and 0 with the reference router"
    )
    learning_rate: float | None = Field(None, gt=0, description="of the gates; by default that of the other weights")

    @model_validator(mode="after")
    def _fits(self) -> "MoEConfig":
        if self.experts == 1:
            raise ValueError("experts is 1: a layer with one expert is dense; give 0 (off) or at least 2")
        if self.experts and self.top_k > self.experts:
            raise ValueError(f"top_k is {self.top_k}, more than the {self.experts} experts")
        return self

    @property
    def balance(self) -> float:
        """The load-balancing weight in force."""
        return self._weight(self.balance_weight, BALANCE_WEIGHT)

    @property
    def z(self) -> float:
        """The z-loss weight in force."""
        return self._weight(self.z_weight, Z_WEIGHT)

    def _weight(self, given: float | None, default: float) -> float:
        if given is not None:
            return given
        return default if self.router == "learned" else 0.0


def chosen_layers(layers: str | tuple[int, ...] | list[int], count: int) -> list[int]:
    """Layer numbers from 0 that `layers` means in a model of `count` layers; raises ConfigError when it means none.

    >>> chosen_layers("last-2", 6), chosen_layers((0, -1), 6)
    ([4, 5], [0, 5])
    """
    if layers == "all":
        return list(range(count))
    if isinstance(layers, str):
        head, _, number = layers.partition("-")
        if head == "last" and number.isdecimal() and 1 <= int(number) <= count:
            return list(range(count - int(number), count))
    elif layers and all(-count <= layer < count for layer in layers):
        return sorted({layer % count for layer in layers})
    raise ConfigError(
        f"layers is {layers!r}; expected all, last-N with N up to {count}, or numbers from 0 to {count - 1}"
    )
