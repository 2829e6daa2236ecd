"""Prints docs/RECIPE.md: every setting of a recipe with its values, default and description, from its fields."""

import json
from typing import Any

from whet.run.recipe import PARTS

HEAD = """# Settings of a recipe

Written by `scripts/recipe_docs`; change the fields in `src/whet`, not this file. A recipe is a YAML file for
`--recipe`, or a nested mapping for `whet.tune(overrides=...)`. What it does not name keeps its default:

```yaml
max_length: 128
train:
  epochs: 2
  train_only: last-2
```

`recipe.json` in a run's folder shows, under `resolved`, what a run was made with.
"""
DERIVED = {  # by whet.run.recipe.derive
    "train.epochs": "by effort and the number of training pairs",
    "train.batch_size": "by the number of training pairs",
    "train.soft_weight": "0.5 with fewer than 500 training pairs, else 0",
    "teach.labels": '`"soft-2"` with fewer than 500 training pairs, else `"soft-1"`',
    "refresh.times": '`"off"` with fewer than 500 training pairs, else `"auto"`',
    "guard.interpolate": "true with fewer than 500 training pairs or generated ones, else false",
    "guard.shares": "`[0.5]` where all training queries are generated, else `[0.25, 0.5, 0.75, 1.0]`",
    "generate.passages": "1,000 without training queries, 400 with fewer than 500 training pairs, else 0",
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
    return "\n".join([HEAD, *(line for prefix in PARTS for line in table(prefix))])


def table(prefix: str) -> list[str]:
    """The settings of one part of the recipe, a row each."""
    part = prefix.removesuffix(".")
    title = f"{part}: {PARTS[''].model_fields[part].description}" if part else "the whole run"
    lines = [f"## {title}", "", "| setting | values | default | what it is |", "|---|---|---|---|"]
    for name, field in PARTS[prefix].model_json_schema()["properties"].items():
        key = prefix + name
        if f"{key}." not in PARTS:
            default = DERIVED.get(key, f"`{json.dumps(field['default'])}`")
            lines.append(f"| `{key}` | {values(field)} | {default} | {field['description']} |")
    return [*lines, ""]


def values(field: dict[str, Any]) -> str:
    """What a setting may be, in words."""
    if "anyOf" in field:
        return " or ".join(map(values, field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        items, kind = values(field["items"]), KINDS[field["items"]["type"]]
        return f"list of {items.replace(kind, f'{kind}s', 1)}"  # a list of words keeps them as they are
    bounds = ", ".join(f"{sign} {field[name]:g}" for name, sign in BOUNDS.items() if name in field)
    return f"{KINDS[field['type']]} {bounds}".rstrip()


if __name__ == "__main__":
    print(page(), end="")
