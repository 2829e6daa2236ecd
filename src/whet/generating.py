"""The generate stage: mined negatives in, a query that each answers (CLP's h*) and a summary out."""

from collections.abc import Sequence
from pathlib import Path

from whet.artifacts import write_json
from whet.generate.corpus import REPLIES, searches_of
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.named import OFFLINE, generator_of
from whet.generate.positives import positive_queries, write_positive_queries
from whet.generate.sieve import Sieve
from whet.progress import say
from whet.records import Generator, MinedQuery, QuerySource
from whet.run import Run


def write_positives(run: Run, folder: Path, mined: Sequence[MinedQuery]) -> None:
    """Find a query for every mined passage (`positive_queries`) and leave queries and a summary in `folder`.

    What a language model was asked and gave no good query for falls back to the passages themselves.
    """
    config, passages = run.recipe.generate, list(run.collection.passages.values())
    searches, asked = searches_of(config, run.collection, run.base_encoder), asked_queries(run)
    writers: dict[QuerySource, tuple[Generator, Sieve]] = {}
    if config.generator != OFFLINE and mined:
        model = generator_of(config, "reverse", passages, run.path / REPLIES, examples=asked, yes=run.yes)
        writers["generated"] = model, Sieve(run.collection, searches, config.round_trip, modelled=True)
    writers["extractive"] = ExtractiveGenerator(passages, asked), Sieve(run.collection, searches, config.round_trip)
    found, summary = positive_queries(run.collection, mined, writers)
    write_positive_queries(folder / "queries.jsonl", found)
    write_json(folder / "summary.json", summary.to_json())
    if mined:
        say(summary.line())


def asked_queries(run: Run) -> list[str]:
    """The training queries that somebody really asked; dev and test queries are never shown."""
    if "train" in run.collection.synthetic:
        return []
    return [run.collection.queries[query] for query in run.collection.positives("train")]
