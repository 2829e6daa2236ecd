"""Settings of training, of experts, and of what must not be forgotten; each field's description is its help text."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# `intermediate` was tried at 2e-4 and 5e-4: equal on nl2bash_a, 2e-4 ahead by 2 on integreat_en (docs/LOG.md).
LEARNING_RATE = {
    "all": 1e-4,
    "intermediate": 2e-4,
    "output": 2e-4,
    "moe": 2e-4,
    "norms": 2e-4,
    "last": 2e-4,
}

# Those of Switch Transformers (arXiv 2101.03961, eq. 4) and of ST-MoE (arXiv 2202.08906, eq. 5).
BALANCE_WEIGHT = 0.01
Z_WEIGHT = 0.001

PYDOC, NO_GUARD = "pydoc", "none"  # what `guard.data` may be beside data

# How far to go from base after learning what was written: no dev query says it (WiSE-FT, arXiv 2109.01903).
FIRST_SHARE = 0.5

# What `train_only` can name (`whet.train.freeze`).
PARTS = r"(all|intermediate|output|moe|norms|last-[1-9]\d*)"


def _off(value: object) -> object:
    """YAML 1.1 reads `off` as false."""
    return "off" if value is False else value


class TrainConfig(BaseModel):
    """How a model is trained. Defaults are set by the ladders in benchmarks/results/."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Literal["clp", "infonce", "soft"] = Field(
        "clp",
        description="clp (arXiv 2412.17364), plain infonce, or soft: the teachers' labels alone",
    )
    soft_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the part against the teachers' labels (arXiv 2408.11868); 0 asks no teacher",
    )
    soft_loss: Literal["kl", "mse", "cosent"] = Field(
        "kl",
        description="loss against the teachers' labels: kl over a query's passages, or mse or cosent over pairs",
    )
    negatives: int = Field(
        1, ge=0, description="mined hard negatives per query beside the in-batch ones"
    )
    train_only: str = Field(
        "intermediate",
        pattern=rf"^{PARTS}(\+{PARTS})*$",
        description="all, intermediate, output, moe, norms, last-N, or several joined by +",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="peak learning rate; by default that of train_only"
    )
    temperature: float = Field(0.05, gt=0, description="softmax temperature τ")
    penalty_weight: float = Field(0.1, ge=0, le=1, description="weight λ of the CLP penalty")
    epochs: int = Field(1, ge=1, description="passes over the training pairs")
    batch_size: int = Field(32, ge=2, description="queries per step")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay")
    dropout: bool = Field(
        False, description="keep the model's dropout on; off trains faster on a CPU, by a third"
    )
    evaluations: int = Field(
        3,
        ge=1,
        description="dev evaluations, and checkpoints, over the whole training; the last is taken unless dev shows it "
        "to be worse than the best",
    )
    patience: int = Field(
        3,
        ge=1,
        description="dev evaluations without a new best after which training stops, and the best is taken",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="precision of training matmuls: auto takes bf16 only where the hardware has it",
    )
    memory_mb: int = Field(
        1280, ge=64, description="memory for activations; beyond it they are computed again"
    )
    prefix_cache: Annotated[Literal["auto", "off"], BeforeValidator(_off)] = Field(
        "auto",
        description="keep what frozen lower layers (train_only last-N, experts in the last layers) give, on disk while "
        "the training lasts, where texts are read more than once; off runs them every time",
    )
    trackers: tuple[str, ...] = Field(
        (), description="Hugging Face trackers to report to, e.g. tensorboard, wandb"
    )
    seed: int = Field(13, ge=0, description="seed of batches and weights")

    @property
    def taught(self) -> bool:
        """Whether the teachers' labels take part."""
        return self.loss == "soft" or self.soft_weight > 0

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up."""
        return self.learning_rate or min(
            LEARNING_RATE[part.split("-")[0]] for part in self.train_only.split("+")
        )


class MoEConfig(BaseModel):
    """Which layers become experts, and how tokens find theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experts: int = Field(
        0,
        ge=0,
        le=64,
        description="experts in place of each chosen layer; 0 leaves the model dense",
    )
    top_k: int = Field(1, ge=1, description="experts that a token goes through")
    router: Literal["learned", "reference"] = Field(
        "learned", description="reference is the paper's code, whose gate does not learn at top_k 1"
    )
    level: Literal["token", "text"] = Field(
        "token", description="what is routed: each token, or each text as a whole"
    )
    site: Literal["intermediate", "output"] = Field(
        "intermediate", description="which dense layers become experts"
    )
    layers: str | tuple[int, ...] = Field(
        "all", description="all, last-N, or a list of layer numbers from 0"
    )
    balance_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the load-balancing loss; by default 0.01, and 0 with the reference router",
    )
    z_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the router z-loss; by default 0.001, and 0 with the reference router",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="learning rate of the gates; by default that of the other weights"
    )

    @model_validator(mode="after")
    def _fits(self) -> "MoEConfig":
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
        return self._weight(self.balance_weight, BALANCE_WEIGHT)

    @property
    def z(self) -> float:
        """The z-loss weight in force."""
        return self._weight(self.z_weight, Z_WEIGHT)

    def _weight(self, given: float | None, default: float) -> float:
        if given is not None:
            return given
        return default if self.router == "learned" else 0.0


def _times(value: object) -> int | str:
    value = _off(value)
    if value in ("auto", "off"):
        return str(value)
    if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdecimal():
        return int(value)
    raise ValueError("expected a number from 0 on, auto or off")


class RefreshConfig(BaseModel):
    """Whether, and at what cost, negatives are mined anew while the model learns (ANCE, arXiv 2007.00808)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Annotated[int | Literal["auto", "off"], BeforeValidator(_times)] = Field(
        "auto",
        description="how often, at equal distances; auto: as often as `share` allows while it changes something",
    )
    cost: Literal["auto", "full", "pool"] = Field(
        "auto",
        description="what is encoded: the corpus, or the pool of passages that ranked high so far; auto takes the pool "
        "where it saves a quarter",
    )
    share: float = Field(
        0.15,
        gt=0,
        le=1,
        description="share of the training's work that auto may spend on mining anew",
    )
    depth: int = Field(
        20, ge=1, description="best ranks of every query that stay in the pool, mine.depth at most"
    )
    sample: float = Field(
        0.02, gt=0, le=1, description="share of the other passages that the pool takes, at random"
    )
    overlap: float = Field(
        0.9, gt=0, le=1, description="share of old negatives among new ones at which auto ends"
    )
    generate: bool = Field(
        False, description="let a language model write queries (h*) for new negatives, at its price"
    )
    background: bool = Field(False, description="mine in a second process while training goes on")

    @model_validator(mode="after")
    def _agrees(self) -> "RefreshConfig":
        idle = [name for name in ("background", "generate") if getattr(self, name)]
        if self.off and idle:
            raise ValueError(
                f"times is {self.times}{', which it is by itself on small data' if self.times == 'off' else ''}, so "
                f"{' and '.join(idle)} would do nothing: give times, too (--refresh N), or leave that out"
            )
        return self

    @property
    def off(self) -> bool:
        """Whether negatives stay as they were mined."""
        return self.times in (0, "off")


class GuardConfig(BaseModel):
    """What the trained model must not forget, and how far it may go back towards the base model to keep it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        PYDOC,
        description="a general set that is scored beside dev: pydoc (the documentation of this Python), data as "
        "`whet tune` takes it, the name of a NanoBEIR set on the hub such as NanoNQ, or none",
    )
    budget: float = Field(
        0.01, ge=0, le=1, description="nDCG@10 that the model may lose on the general set"
    )
    interpolate: bool = Field(
        False,
        description="take the weights between base and tuned that do best on dev, or farther where dev cannot tell, "
        "within the budget (WiSE-FT, arXiv 2109.01903)",
    )
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="shares of the tuned weights that are tried",
    )
    queries: int = Field(600, ge=1, description="queries of the set that are used, at most")
    passages: int = Field(
        600, ge=1, description="passages that they are searched in: answers, and others at random"
    )
    seed: int = Field(13, ge=0, description="seed of what is drawn")
