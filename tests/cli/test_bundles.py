"""A command that takes bundles looks to typer like one that takes every option."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from whet.cli.bundles import bundled


@dataclass(frozen=True)
class Sizes:
    width: Annotated[int, typer.Option(rich_help_panel="Sizes", help="How wide.")] = 3
    height: Annotated[int | None, typer.Option(rich_help_panel="Sizes")] = None


@dataclass(frozen=True)
class Colour:
    name: Annotated[str, typer.Option("--colour", "-c")] = "red"


def paint(
    what: Annotated[str, typer.Argument()],
    sizes: Sizes,
    colour: Colour,
    twice: Annotated[bool, typer.Option("--twice")] = False,
):
    """Paint something."""
    typer.echo(f"{what} {sizes} {colour} {twice}")


def run(*arguments):
    app = typer.Typer()
    app.command()(bundled(paint))
    return CliRunner().invoke(app, arguments)


def test_options_arrive_in_their_bundles():
    ended = run("wall", "--width", "5", "-c", "blue", "--twice")
    expected = "wall Sizes(width=5, height=None) Colour(name='blue') True"
    assert (ended.exit_code, ended.stdout.strip()) == (0, expected)


def test_defaults_are_those_of_the_bundles():
    assert run("wall").stdout.strip() == "wall Sizes(width=3, height=None) Colour(name='red') False"


def test_help_knows_name_text_and_heading():
    shown = run("--help").stdout
    for part in ("Paint something.", "How wide.", "─ Sizes ─", "--colour", "-c"):
        assert part in shown


def test_the_signature_is_flat():
    names = list(inspect.signature(bundled(paint)).parameters)
    assert names == ["what", "width", "height", "name", "twice"]


def test_two_bundles_must_not_share_an_option():
    def both(one: Sizes, other: Sizes):
        pass

    with pytest.raises(ValueError, match="duplicate parameter name: 'width'"):
        bundled(both)
