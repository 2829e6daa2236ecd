"""The one way to set up jinja2 for the templates that lie in a package's folder."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(
    package: str,
    *,
    autoescape: bool,
    finalize: Callable[[Any], Any] | None = None,
    keep_trailing_newline: bool = False,
) -> "Environment":
    """Make an environment that loads templates from the folder of a package, such as "whet.report".

    A name that a template uses and nobody passed raises `jinja2.UndefinedError`. Lines that hold
    only a block tag leave no line behind. `autoescape` is for HTML. `finalize` is applied to each
    value before it is written; it escapes for formats other than HTML.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=autoescape,  # noqa: S701 - Markdown and prompts are no HTML
        finalize=finalize,
        keep_trailing_newline=keep_trailing_newline,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
