"""Commands that take their options in bundles: a dataclass parameter becomes an option per field.

typer reads one parameter per option from a function's signature. Verbs share many options, so here
they take dataclasses instead, and `bundled` shows typer the flat signature.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any


def bundled(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command for typer that collects options into the bundles that `function` takes.

    Fields are annotated as typer wants parameters, `Annotated[type, typer.Option(...)]`, and have a
    default.
    """
    bundles: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        annotation: Any = parameter.annotation
        if is_dataclass(annotation):
            bundles[parameter.name] = annotation
            parameters += _parameters_of(annotation)
        else:
            parameters.append(parameter)

    @wraps(function)
    def command(**values: Any) -> None:
        for name, bundle in bundles.items():
            options = {field.name: values.pop(field.name) for field in fields(bundle)}
            values[name] = bundle(**options)
        function(**values)

    keyword_only = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters
    ]
    signature = inspect.Signature(keyword_only)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameters_of(bundle: Any) -> Iterator[inspect.Parameter]:
    for field in fields(bundle):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
