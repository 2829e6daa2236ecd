"""The options that verbs share, in bundles; each bundle stands under one heading of `--help`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from whet.models import DEFAULT_MODEL
from whet.run.recipe import Effort
from whet.run.recipe_file import read_setting

DATA = "Data"
MODEL = "Model and training"
NEGATIVES = "Hard negatives"
SYNTHETIC = "Synthetic queries and teachers"
RUN = "Run"
OUTPUT = "Output"


class Setting(NamedTuple):
    """A recipe key that an option sets."""

    option: str
    key: str
    value: Any


def given(*settings: Setting) -> list[Setting]:
    """The settings whose option was typed."""
    return [setting for setting in settings if setting.value is not None]


DataArgument = Annotated[
    str,
    typer.Argument(
        help="BEIR folder; JSONL, CSV or Parquet file or folder; hub data set id; folder of "
        "documents; or the folder of a run, to continue it."
    ),
]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run that `whet tune` made.")]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="No progress, no messages."),
]


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Files beside the data."""

    labels: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=DATA,
            help="Marks on the pairs that `whet audit` lists. Accepted pairs become positives.",
        ),
    ] = None
    test_queries: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=DATA,
            help="Table of real queries with their answers, to test on. For data without queries.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The base model, and what it reads."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            rich_help_panel=MODEL,
            help="Sentence-transformers model: folder or hub id.",
        ),
    ] = DEFAULT_MODEL
    max_length: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="TOKENS",
            help="Tokens read of a text. Default: the model's own limit.",
        ),
    ] = None

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(Setting("--max-length", "max_length", self.max_length))


@dataclass(frozen=True, slots=True)
class LossOptions:
    """The loss, which decides what must be mined, generated and scored for it."""

    loss: Annotated[
        Literal["clp", "infonce", "soft"] | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="clp: InfoNCE with the CLP penalty. infonce: without it. soft: the teachers' "
            "labels alone. Default: clp.",
        ),
    ] = None
    penalty_weight: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="λ",
            help="Weight of the CLP penalty, from 0 to 1. Default: 0.1.",
        ),
    ] = None

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(
            Setting("--loss", "train.loss", self.loss),
            Setting("--penalty-weight", "train.penalty_weight", self.penalty_weight),
        )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What trains, how much, and what must not be forgotten."""

    effort: Annotated[
        Effort | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="How much to train. Other options set single values. Default: standard.",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="Passes over the training pairs. Default: by effort and number of pairs.",
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="Peak learning rate. Default: 2e-4, or 1e-4 with --train-only all.",
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=MODEL,
            help="Queries per step. Default: 32, fewer on small data.",
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="τ",
            help="Softmax temperature of the loss. Default: 0.05.",
        ),
    ] = None
    train_only: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="WEIGHTS",
            help="What trains: all, intermediate, output, moe, norms, last-N, or several joined "
            "by +. Default: intermediate.",
        ),
    ] = None
    moe: Annotated[
        int | None,
        typer.Option(
            "--moe",
            rich_help_panel=MODEL,
            metavar="EXPERTS",
            help="Experts in place of every intermediate layer, such as 2. Default: none.",
        ),
    ] = None
    guard: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="DATA",
            help="Forgetting check: general data that is scored beside dev. pydoc, data as DATA, "
            "or none. Default: pydoc.",
        ),
    ] = None
    prefix_cache: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=MODEL,
            metavar="auto|off",
            help="Keep the outputs of frozen lower layers on disk where that saves time. "
            "Default: auto.",
        ),
    ] = None
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            rich_help_panel=MODEL,
            help="Keep the trained model even if dev shows no gain.",
        ),
    ] = False

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(
            Setting("--effort", "effort", self.effort),
            Setting("--epochs", "train.epochs", self.epochs),
            Setting("--learning-rate", "train.learning_rate", self.learning_rate),
            Setting("--batch-size", "train.batch_size", self.batch_size),
            Setting("--temperature", "train.temperature", self.temperature),
            Setting("--train-only", "train.train_only", self.train_only),
            Setting("--moe", "moe.experts", self.moe),
            Setting("--guard", "guard.data", self.guard),
            Setting("--prefix-cache", "train.prefix_cache", self.prefix_cache),
        )


@dataclass(frozen=True, slots=True)
class MiningOptions:
    """How many hard negatives."""

    negatives: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NEGATIVES,
            help="Mined hard negatives per query that training uses. Mining keeps at least as "
            "many. Default: 1.",
        ),
    ] = None

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(Setting("--negatives", "train.negatives", self.negatives))


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """Re-mining during training."""

    refresh: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=NEGATIVES,
            metavar="N|auto|off",
            help="How often negatives are mined again during training (re-mining). Default: auto, "
            "and off with fewer than 500 training pairs.",
        ),
    ] = None
    refresh_async: Annotated[
        bool,
        typer.Option(
            "--refresh-async",
            rich_help_panel=NEGATIVES,
            help="Mine again in a second process while training continues.",
        ),
    ] = False
    refresh_generate: Annotated[
        bool,
        typer.Option(
            "--refresh-generate",
            rich_help_panel=NEGATIVES,
            help="Let the language model generate positive queries for new negatives, too.",
        ),
    ] = False

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(
            Setting("--refresh", "refresh.times", self.refresh),
            Setting("--refresh-async", "refresh.background", self.refresh_async or None),
            Setting("--refresh-generate", "refresh.generate", self.refresh_generate or None),
        )


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """What generates queries, and whether its costs are agreed to."""

    generator: Annotated[
        str | None,
        typer.Option(
            "--generator",
            "-g",
            rich_help_panel=SYNTHETIC,
            help="What generates queries: offline, openai:MODEL, gemini:MODEL, vllm:MODEL, "
            "ollama:MODEL, llamacpp:MODEL, each with @URL for another server, or local:FOLDER. "
            "Default: offline.",
        ),
    ] = None
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            rich_help_panel=SYNTHETIC,
            help="Agree to the costs of a language model's calls.",
        ),
    ] = False

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        return given(Setting("--generator", "generate.generator", self.generator))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where the run is, and its recipe."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", rich_help_panel=RUN, help="The run's folder. Default: runs/NAME-OF-DATA."
        ),
    ] = None
    recipe: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=RUN,
            help="YAML file of settings. docs/RECIPE.md lists them all; `whet recipe RUN` prints "
            "those of a run.",
        ),
    ] = None
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            rich_help_panel=RUN,
            metavar="KEY=VALUE",
            help="Any setting of a recipe, such as train.warmup=0.05. May be given several times. "
            "--set and the options above win over --recipe; they must not contradict each other.",
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(rich_help_panel=RUN, help="Seed of splits, batches and tests. Default: 13."),
    ] = None

    def settings(self) -> list[Setting]:
        """What these options set in the recipe."""
        settings = given(Setting("--seed", "seed", self.seed))
        for text in self.set_ or []:
            key, value = read_setting(text)
            settings.append(Setting(f"--set {text}", key, value))
        return settings


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a verb prints."""

    json: Annotated[
        bool,
        typer.Option(
            "--json",
            rich_help_panel=OUTPUT,
            help="Print one JSON object, and nothing else, to stdout.",
        ),
    ] = False
    quiet: QuietOption = False
