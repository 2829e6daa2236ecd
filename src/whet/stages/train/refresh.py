"""Re-mining in a run's training: whether it makes sense, and what it needs."""

import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from whet.errors import ConfigError
from whet.generate.named import OFFLINE, local_model
from whet.generate.spending import agree
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.run.folder import Run
from whet.run.recipe import Recipe
from whet.search.bm25 import Bm25
from whet.search.dense import top_k
from whet.stages.generate import Finder, positives_finder
from whet.train.config import TrainConfig
from whet.train.refresh.plan import RefreshPlan

MODEL_STRATEGIES = ("ance", "mix")  # of mining: those that the model's weights change

logger = logging.getLogger(__name__)


def why_not_refresh(recipe: Recipe) -> str:
    """Why re-mining would make no sense for a recipe's training; "" where it makes sense."""
    if not recipe.train.negatives:
        return "train.negatives is 0: there are no mined negatives"
    if recipe.mine.strategy not in MODEL_STRATEGIES:
        return f"mine.strategy is {recipe.mine.strategy}, which the model's weights do not change"
    if recipe.train.loss == "soft":
        return "train.loss is soft, and teachers have no labels for new negatives"
    return ""


def check_refresh(run: Run) -> None:
    """Raise ConfigError where re-mining cannot be done as asked, or costs money unasked."""
    recipe = run.known_recipe
    config = recipe.refresh
    generator = recipe.generate.generator
    is_asked_for = config.times not in ("auto", "off", 0)
    reason = why_not_refresh(recipe)
    if is_asked_for and reason:
        raise ConfigError(
            f"negatives cannot be re-mined: {reason}. Leave --refresh out, or change that."
        )
    if not config.generate:
        return
    if generator == OFFLINE:
        raise ConfigError(
            "refresh.generate has a language model write queries, and no generator is named: "
            "give --generator"
        )
    is_free = local_model(generator) != ""
    if not config.off and not is_free and run.confirm is not agree:
        raise ConfigError(
            "--refresh-generate calls a server in the middle of training: agree to that with --yes"
        )


def refresh_plan_of(
    run: Run, collection: Collection, train: TrainConfig, folder: Path
) -> RefreshPlan | None:
    """What re-mining needs, for the run's collection or a fold of it; None where negatives stay."""
    recipe = run.recipe
    config = recipe.refresh
    if config.off or why_not_refresh(recipe):
        return None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        logger.warning("negatives are not re-mined: training runs in several processes")
        return None
    texts = [collection.queries[query] for query in collection.positives("train")]
    passages = list(run.passages.values())
    query_vectors = run.base_encoder.encode_queries(texts)
    passage_vectors = run.base_encoder.encode_passages(passages)
    depth = recipe.mine.skip + config.depth
    first_ranks = top_k(query_vectors, passage_vectors, depth).indices  # (query, rank)
    if recipe.mine.strategy == "mix" and config.cost != "full":
        bm25_ranks = Bm25(passages).top_k(texts, first_ranks.shape[1]).indices
        first_ranks = np.concatenate([first_ranks, bm25_ranks], axis=1)
    has_penalty = train.loss == "clp" and train.penalty_weight > 0

    @cache
    def finder() -> Finder:  # made when it is first needed
        return positives_finder(run, collection, ask=config.generate)

    def positive_queries_of(mined: Sequence[MinedQuery]) -> list[PositiveQuery]:
        if not has_penalty:
            return []
        positive_queries, _ = finder()(mined)
        return positive_queries

    return RefreshPlan(
        collection,
        recipe.mine,
        config,
        train.negatives,
        first_ranks,
        positive_queries_of,
        folder,
        train.seed,
    )
