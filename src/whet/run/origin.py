"""What a model card tells of a run's model."""

from collections.abc import Sequence
from pathlib import Path

from whet.export.card import ModelOrigin, licence_of
from whet.models import DEFAULT_MODEL, packaged_model
from whet.run.folder import Run
from whet.run.results import read_evaluation


def origin_of(run: Run, account: Sequence[str]) -> ModelOrigin:
    """Describe an evaluated run; `account` are sentences on what was done (`whet.run.account`)."""
    sizes = {"passages": len(run.passages)}
    for split in run.collection.qrels:
        sizes[f"{split} queries"] = len(run.collection.positives(split))
    added_queries = len(run.built_synthetic_queries)
    if added_queries:
        sizes["synthetic training queries"] = added_queries
    recipe = run.recipe.in_force()
    settings = dict(recipe["train"])
    if run.recipe.moe.experts:
        settings |= {f"moe.{name}": value for name, value in recipe["moe"].items()}
    evaluation, _, _ = read_evaluation(run.path)
    return ModelOrigin(
        base=run.base,
        data=run.collection.name,
        sizes=sizes,
        settings=settings,
        evaluation=evaluation,
        licence=_licence(run.base),
        account=account,
    )


def _licence(base: str) -> str | None:
    """The licence of a base model in a folder; None where it is a hub id, or names none."""
    folder = packaged_model() if base == DEFAULT_MODEL else Path(base)
    return licence_of(folder) if folder else None
