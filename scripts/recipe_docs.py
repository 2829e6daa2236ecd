"""Prints docs/RECIPE.md: every setting of a recipe with its values, default and description."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from whet.run.recipe import KEYS, PARTS

WIDTH = 100

HEAD = """# Settings of a recipe

Written by `scripts/recipe_docs` from the fields in `src/whet`. Change those, not this file.

A recipe is a YAML file for `--recipe`, or a nested mapping for `whet.tune(overrides=...)`.
A setting that it does not name keeps its default:

```yaml
max_length: 128
train:
  epochs: 2
  train_only: last-2
```

- `--set KEY=VALUE` gives one setting on the command line, such as `--set train.warmup=0.05`.
  The usual settings have options of their own, such as `--epochs`: see `whet tune --help`.
- Options win over the file. Two options that give one setting different values are refused.
- `whet recipe RUN` prints all settings of a run as a file for `--recipe`.
"""

# Defaults that `whet.run.recipe.derive` derives from the data.
DERIVED = {
    "train.epochs": "by effort and the number of training pairs",
    "train.batch_size": "by the number of training pairs",
    "train.soft_weight": "0.5 with fewer than 500 training pairs, else 0",
    "teach.labels": '`"soft-2"` with fewer than 500 training pairs, else `"soft-1"`',
    "refresh.times": '`"off"` with fewer than 500 training pairs, else `"auto"`',
    "guard.interpolate": "true with fewer than 500 training pairs or synthetic ones, else false",
    "guard.shares": "`[0.5]` where all training queries are synthetic, "
    "else `[0.25, 0.5, 0.75, 1.0]`",
    "generate.passages": "1,000 without training queries, 400 with fewer than 500 training pairs, "
    "else 0",
    "generate.seed": "that of `seed`",
    "mine.seed": "that of `seed`",
    "teach.seed": "that of `seed`",
    "train.seed": "that of `seed`",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for prefix in PARTS:
        lines += group(prefix)
    return "\n".join(lines)


def group(prefix: str) -> Iterator[str]:
    """One part of the recipe: a heading, and an item for each setting."""
    part = prefix.removesuffix(".")
    yield f"## {part}: {KEYS[part].description}" if part else "## the whole run"
    yield ""
    for name, schema in PARTS[prefix].model_json_schema()["properties"].items():
        key = prefix + name
        if f"{key}." in PARTS:
            continue
        default = DERIVED.get(key, f"`{json.dumps(schema['default'])}`")
        yield from wrapped(f"- `{key}`: {values(schema)}. Default: {default}.")
        yield from wrapped(f"  {schema['description']}")
    yield ""


def wrapped(text: str) -> list[str]:
    """An item of a list, or a line of one, in lines of at most WIDTH characters."""
    return textwrap.wrap(
        text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def values(schema: dict[str, Any]) -> str:
    """What a setting may be, in words."""
    if "anyOf" in schema:
        return " or ".join(values(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        items = schema["items"]
        kind = KINDS[items["type"]]
        plural = values(items).replace(kind, f"{kind}s", 1)  # a list of words stays as it is
        return f"list of {plural}"
    bounds = [f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema]
    return f"{KINDS[schema['type']]} {', '.join(bounds)}".rstrip()


if __name__ == "__main__":
    print(page(), end="")
