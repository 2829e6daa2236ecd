"""`whet generate reverse|queries|paraphrases|prompts`: generated queries, and what a model is told to write."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from whet.cli.stages import verb

app = typer.Typer(
    no_args_is_help=True,
    help="Write queries: for mined negatives, for documents without any, anew.",
)
app.command(
    "reverse", help="Find the queries that mined negatives answer (CLP's h*): the stage generate."
)(verb("generate"))
app.command("queries", help="Write training queries for passages that come without any.")(
    verb("queries")
)
app.command(
    "paraphrases",
    help="Write other wordings of the training queries (generate.paraphrases, 3 by default).",
)(verb("paraphrases"))


@app.command()
def prompts(
    folder: Annotated[Path, typer.Argument(help="Folder to write the prompt files to.")],
) -> None:
    """Write whet's prompts into a folder, to be changed and named as generate.prompts in a recipe."""
    from whet.cli.show import show_lines
    from whet.errors import ConfigError
    from whet.generate.prompts import OURS

    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; give another folder")
    shutil.copytree(OURS, folder, dirs_exist_ok=True)
    show_lines([f"{path}" for path in sorted(folder.iterdir())])
