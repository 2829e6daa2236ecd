"""`whet recipe`: the resolved recipe of a run, as a file for `--recipe`."""

from whet.cli.options import RunArgument
from whet.cli.terminal import terminal


def recipe(run: RunArgument) -> None:
    """Print all settings of a run as YAML, for `whet tune DATA --recipe FILE`."""
    from whet.cli.show import show_lines
    from whet.run.recipe_file import recipe_as_yaml, recorded_recipe
    from whet.run.settings import read_settings

    with terminal(quiet=False):
        settings = read_settings(run)
        resolved = recorded_recipe(run)
    source = settings.data or "in memory"
    header = f"# recipe of {run}; data: {source}; model: {settings.model}"
    show_lines([header, *recipe_as_yaml(resolved).splitlines()])
