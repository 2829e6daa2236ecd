"""The options that several verbs share, each with its help text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from whet.errors import ConfigError
from whet.run.recipe import Effort

DataArgument = Annotated[
    str,
    typer.Argument(
        help="BEIR folder, JSONL/CSV/Parquet file or folder, hub data set id, or a folder of documents."
    ),
]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run that `whet tune` made.")]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="Sentence-transformers model: folder or hub id.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="The run's folder; by default runs/NAME-OF-DATA.")
]
EffortOption = Annotated[
    Effort | None, typer.Option(help="The one dial: how much to train (default: standard).")
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        help="YAML file that overrides what effort derives; docs/RECIPE.md lists all settings."
    ),
]
TrainOnlyOption = Annotated[
    str | None,
    typer.Option(
        help="What trains: all, intermediate, output, moe, norms, last-N, or several joined by +."
    ),
]
MoEOption = Annotated[
    int | None, typer.Option("--moe", help="Experts in place of every intermediate layer, e.g. 2.")
]
GuardOption = Annotated[
    str | None,
    typer.Option(
        help="General data that must not be forgotten, scored beside dev: pydoc (default), data as DATA, or none."
    ),
]
RefreshOption = Annotated[
    str | None,
    typer.Option(
        help="How often negatives are mined anew while the model learns: a number, auto (default from 500 training "
        "pairs on), or off.",
        metavar="N|auto|off",
    ),
]
RefreshAsyncOption = Annotated[
    bool,
    typer.Option("--refresh-async", help="Mine anew in a second process while training goes on."),
]
RefreshGenerateOption = Annotated[
    bool,
    typer.Option(
        "--refresh-generate", help="Let the language model write queries for new negatives, too."
    ),
]
PrefixCacheOption = Annotated[
    str | None,
    typer.Option(
        help="Keep what frozen lower layers give on disk where that pays: auto (default) or off.",
        metavar="auto|off",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        help="Marks on the pairs that `whet audit` lists: the accepted are trained on as positives."
    ),
]
GeneratorOption = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "-g",
        help="Who writes queries: offline (default), openai:MODEL, gemini:MODEL, vllm:MODEL, ollama:MODEL, "
        "llamacpp:MODEL, each with @URL where it is elsewhere, or local:FOLDER.",
    ),
]
TestQueriesOption = Annotated[
    Path | None,
    typer.Option(
        help="Table of real queries and what answers each, to test on where the data has no queries."
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Agree to what calls of a language model may cost.")
]
SeedOption = Annotated[int | None, typer.Option(help="Seed of splits, batches and tests.")]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Keep the trained model even if it is judged no better than base."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no messages.")]


def overrides_of(recipe: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe overrides from the file and from options, by the setting that each means; an option wins over the file."""
    from whet.run.recipe import read_recipe

    found = read_recipe(recipe) if recipe else {}
    for setting, value in options.items():
        name, _, key = setting.rpartition(".")
        if value is None:
            continue
        part = (found.get(name) or {}) if name else found
        if not isinstance(part, dict):
            raise ConfigError(
                f"{recipe}: {name} is {part!r}, expected a mapping such as `{name}: {{{key}: {value}}}`"
            )
        found = found | ({name: {**part, key: value}} if name else {key: value})
    return found


def run_folder(data: str, out: Path | None) -> Path:
    """The folder asked for, or runs/ and the last part of the data's name."""
    return out or Path("runs") / (
        Path(data).resolve().stem if Path(data).exists() else data.replace("/", "_")
    )
