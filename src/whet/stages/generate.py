"""The generate stage: mined negatives in, a query that each answers (CLP's h*) and a summary out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from whet.artifacts import write_json
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.named import OFFLINE, generator_of
from whet.generate.positives import PositivesSummary, positive_queries, write_positive_queries
from whet.generate.query_filter import QueryFilter
from whet.generate.synthetic_queries import REPLIES, searches_of
from whet.progress import say
from whet.records import Collection, Generator, MinedQuery, PositiveQuery, QuerySource
from whet.run.folder import Run

Finder: TypeAlias = Callable[[Sequence[MinedQuery]], tuple[list[PositiveQuery], PositivesSummary]]


def write_positives(run: Run, folder: Path, mined: Sequence[MinedQuery]) -> None:
    """Find a query for every mined passage and leave queries and a summary in `folder`."""
    found, summary = (
        positives_finder(run, run.collection)(mined)
        if mined
        else positive_queries(run.collection, [], {})
    )
    write_positive_queries(folder / "queries.jsonl", found)
    write_json(folder / "summary.json", summary.to_json())
    if mined:
        say(summary.line())


def positives_finder(run: Run, collection: Collection, *, ask: bool = True) -> Finder:
    """`positive_queries` with the run's generator, for the run's collection or a fold of it.

    What a language model was asked and gave no good query for falls back to the passages themselves; with `ask` False
    no model is asked at all.
    """
    config, passages = run.recipe.generate, list(collection.passages.values())
    searches, asked = (
        searches_of(config, collection, run.base_encoder),
        asked_queries(run, collection),
    )
    writers: dict[QuerySource, Generator] = {}
    if ask and config.generator != OFFLINE and "generated" in config.sources:
        model = generator_of(
            config,
            "reverse",
            passages,
            run.path / REPLIES,
            examples=asked,
            confirm=lambda question: run.yes,
        )
        writers["generated"] = model
    writers["extractive"] = ExtractiveGenerator(passages, asked)

    def find(mined: Sequence[MinedQuery]) -> tuple[list[PositiveQuery], PositivesSummary]:
        sieves = {
            source: (
                writer,
                QueryFilter(
                    collection, searches, config.round_trip, modelled=source == "generated"
                ),
            )
            for source, writer in writers.items()
        }
        return positive_queries(collection, mined, sieves, sources=config.sources)

    return find


def asked_queries(run: Run, collection: Collection) -> list[str]:
    """The training queries of a run's collection, or a fold of it, that somebody really asked.

    Dev and test queries are never shown.
    """
    if "train" in run.collection.synthetic:
        return []
    return [
        collection.queries[query]
        for query in collection.positives("train")
        if query in run.collection.queries
    ]
