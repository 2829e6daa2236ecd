"""Settings of training; each field's description is its help text."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Peak learning rate by what trains (`train_only`).
# `intermediate` was tried at 2e-4 and 5e-4: equal on nl2bash_a, 2e-4 ahead by 2 points on
# integreat_en (docs/LOG.md).
LEARNING_RATES = {
    "all": 1e-4,
    "intermediate": 2e-4,
    "output": 2e-4,
    "moe": 2e-4,
    "norms": 2e-4,
    "last": 2e-4,
}

# Interpolation weight after training on synthetic queries. No dev query measures it
# (WiSE-FT, arXiv 2109.01903).
PRETRAINING_INTERPOLATION_WEIGHT = 0.5

# What `train_only` can name (`whet.train.freeze`).
PARTS = r"(all|intermediate|output|moe|norms|last-[1-9]\d*)"


def off_from_yaml(value: object) -> object:
    """Read what YAML makes of `off`: YAML 1.1 reads it as false."""
    return "off" if value is False else value


class TrainConfig(BaseModel):
    """How a model is trained. Defaults are set by the ladders in benchmarks/results/."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Literal["clp", "infonce", "soft"] = Field(
        "clp",
        description="clp (arXiv 2412.17364), infonce, or soft: the teachers' soft labels alone",
    )
    soft_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the loss against the teachers' soft labels (arXiv 2408.11868), "
        "added to the other loss; 0 uses no teacher",
    )
    soft_loss: Literal["kl", "mse", "cosent"] = Field(
        "kl",
        description="loss against soft labels: kl over a query's passages, or mse or cosent over "
        "pairs",
    )
    negatives: int = Field(
        1,
        ge=0,
        description="mined hard negatives per query, beside the in-batch negatives",
    )
    train_only: str = Field(
        "intermediate",
        pattern=rf"^{PARTS}(\+{PARTS})*$",
        description="the weights that train: all, intermediate or output (the dense layer of that "
        "name in each block), moe (the experts), norms, last-N (the last N blocks), or several "
        "joined by +",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="peak learning rate; by default 1e-4 where all weights train, else 2e-4",
    )
    temperature: float = Field(0.05, gt=0, description="softmax temperature τ")
    penalty_weight: float = Field(0.1, ge=0, le=1, description="weight λ of the CLP penalty")
    epochs: int = Field(1, ge=1, description="passes over the training pairs")
    batch_size: int = Field(32, ge=2, description="queries per step")
    warmup: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the steps in which the learning rate rises",
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay")
    dropout: bool = Field(
        False,
        description="keep the model's dropout on; off is a third faster on a CPU",
    )
    evaluations: int = Field(
        3,
        ge=1,
        description="dev evaluations, each with a checkpoint, over the whole training; the last "
        "checkpoint is taken unless dev shows that it is worse than the best",
    )
    patience: int = Field(
        3,
        ge=1,
        description="dev evaluations without a new best score before training stops and the best "
        "checkpoint is taken",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="precision of training matmuls: auto takes bf16 only where the hardware has it",
    )
    memory_mb: int = Field(
        1280,
        ge=64,
        description="memory for activations in MB; beyond it they are recomputed",
    )
    prefix_cache: Annotated[Literal["auto", "off"], BeforeValidator(off_from_yaml)] = Field(
        "auto",
        description="cache the output of frozen lower layers (train_only last-N, or experts in "
        "the last layers) on disk during training, where texts are read more than once; off runs "
        "these layers every time",
    )
    trackers: tuple[str, ...] = Field(
        (),
        description="Hugging Face trackers to report to, e.g. tensorboard, wandb",
    )
    seed: int = Field(13, ge=0, description="seed of batches and weights")

    @property
    def taught(self) -> bool:
        """Whether teachers' soft labels are part of the loss."""
        return self.loss == "soft" or self.soft_weight > 0

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up; the lowest default of what trains."""
        if self.learning_rate is not None:
            return self.learning_rate
        parts = [part.split("-")[0] for part in self.train_only.split("+")]
        return min(LEARNING_RATES[part] for part in parts)
