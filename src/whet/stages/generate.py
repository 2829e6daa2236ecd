"""Stage `generate`: a positive query for every mined negative (CLP's h*, arXiv 2412.17364).

Reads RUN/mine. Writes queries.jsonl (passage_id, text, source), summary.json.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from whet.files import write_json
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.named import OFFLINE, generator_of
from whet.generate.positives import PositivesSummary, positive_queries, write_positive_queries
from whet.generate.query_filter import QueryFilter
from whet.generate.synthetic_queries import generate_settings, searches_of
from whet.mine.mined import read_mined
from whet.records import Collection, Generator, MinedQuery, PositiveQuery, QuerySource
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage

NAME = "generate"

logger = logging.getLogger(__name__)

Finder: TypeAlias = Callable[[Sequence[MinedQuery]], tuple[list[PositiveQuery], PositivesSummary]]
"""Mined negatives → a positive query for each negative that has one, and a summary."""


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/generate` up to date. Without a penalty in the loss its files are empty."""
    train = run.recipe.train
    has_penalty = train.loss == "clp" and train.penalty_weight > 0
    negatives_used = train.negatives if has_penalty else 0

    def write(folder: Path) -> None:
        mined = read_mined(done["mine"].path / "negatives.jsonl") if negatives_used else []
        write_positive_queries_of(run, folder, [_first(query, negatives_used) for query in mined])

    inputs = run.inputs | {"mine": done["mine"].fingerprint}
    config = {"negatives": negatives_used}
    if negatives_used:
        config |= generate_settings(run.recipe.generate)
    return run_stage(run.path, NAME, inputs=inputs, config=config, build=write)


def _first(query: MinedQuery, count: int) -> MinedQuery:
    return replace(query, negatives=query.negatives[:count])


def write_positive_queries_of(run: Run, folder: Path, mined: Sequence[MinedQuery]) -> None:
    """Find a positive query for every mined passage; leave queries and summary in `folder`."""
    if mined:
        queries, summary = positives_finder(run, run.collection)(mined)
    else:
        queries, summary = positive_queries(run.collection, [], {})
    write_positive_queries(folder / "queries.jsonl", queries)
    write_json(folder / "summary.json", summary.to_json())
    if mined:
        logger.info(summary.line())


def positives_finder(run: Run, collection: Collection, *, ask: bool = True) -> Finder:
    """`positive_queries` with the run's generators, for the run's collection or a fold of it.

    Where a language model gives no good query, one is copied from the passage. With `ask` False no
    language model is called.
    """
    config = run.recipe.generate
    passages = list(collection.passages.values())
    searches = searches_of(config, collection, run.base_encoder)
    real_queries = real_training_queries(run, collection)
    generators: dict[QuerySource, Generator] = {}
    if ask and config.generator != OFFLINE and "generated" in config.sources:
        generators["generated"] = generator_of(
            config,
            "reverse",
            passages,
            run.replies,
            examples=real_queries,
            confirm=run.confirm,
        )
    generators["extractive"] = ExtractiveGenerator(passages, real_queries)

    def find(mined: Sequence[MinedQuery]) -> tuple[list[PositiveQuery], PositivesSummary]:
        writers: dict[QuerySource, tuple[Generator, QueryFilter]] = {}
        for source, generator in generators.items():
            is_model = source == "generated"
            query_filter = QueryFilter(collection, searches, config.round_trip, from_model=is_model)
            writers[source] = (generator, query_filter)
        return positive_queries(collection, mined, writers, sources=config.sources)

    return find


def real_training_queries(run: Run, collection: Collection) -> list[str]:
    """Texts of the real training queries in a run's collection, or in a fold of it.

    Dev and test queries are never shown to a generator.
    """
    if "train" in run.collection.synthetic:
        return []
    return [
        collection.queries[query]
        for query in collection.positives("train")
        if query in run.collection.queries
    ]
