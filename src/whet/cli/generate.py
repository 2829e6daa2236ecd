"""`whet generate`: synthetic queries, positive queries of negatives, and the prompts for them."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    LossOptions,
    MiningOptions,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SyntheticOptions,
)
from whet.cli.terminal import confirmation, terminal
from whet.errors import ConfigError

PARAPHRASES = 3  # of each training query, where neither an option nor the recipe gives a number

app = typer.Typer(
    no_args_is_help=True,
    help="Generate queries: for passages without any, for mined negatives, or in other words.",
)


@app.command()
@bundled
def reverse(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    loss: LossOptions,
    mining: MiningOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Find the positive queries of mined negatives (h* of the CLP paper): the stage generate."""
    from whet.cli.show import show_stage
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, others=(loss, mining, synthetic))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        build(opened, until="generate")
    show_stage(opened.path, "generate", json=output.json)


@app.command()
@bundled
def queries(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Generate synthetic training queries for passages that have none."""
    from whet.cli.show import show_stage
    from whet.pipeline import build
    from whet.stages.queries import check_is_needed

    request = RunRequest(data, files, model, run, others=(synthetic,))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        check_is_needed(opened)
        build(opened, until="queries")
    show_stage(opened.path, "queries", json=output.json)


@app.command()
@bundled
def paraphrases(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Generate paraphrases of the training queries (generate.paraphrases, 3 by default)."""
    from whet.cli.show import show_stage
    from whet.pipeline import build
    from whet.stages.paraphrases import check_is_needed

    request = RunRequest(data, files, model, run, others=(synthetic,))
    with terminal(output.quiet):
        confirm = confirmation(synthetic.yes, output.quiet)
        opened = request.open_or_continue(confirm, paraphrases=PARAPHRASES)
        check_is_needed(opened)
        build(opened, until="paraphrases")
    show_stage(opened.path, "paraphrases", json=output.json)


@app.command()
def prompts(
    folder: Annotated[Path, typer.Argument(help="Folder to write the prompt files to.")],
) -> None:
    """Copy whet's prompts into a folder. Edit them and name it as generate.prompts in a recipe."""
    from whet.cli.show import show_lines
    from whet.generate.prompts import BUILT_IN_PROMPTS

    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; give another folder")
    shutil.copytree(BUILT_IN_PROMPTS, folder, dirs_exist_ok=True)
    show_lines([str(path) for path in sorted(folder.iterdir())])
