"""Stage `queries`: synthetic training queries, alone or beside few real ones.

Reads the data. Writes queries.jsonl (query_id, text, passage_id), summary.json.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from whet.data.read import content_fingerprint
from whet.errors import ConfigError, DataError, Fault
from whet.files import read_json, write_json
from whet.generate.config import GenerateConfig
from whet.generate.named import check_generator, generator_of
from whet.generate.reply_store import spent_in
from whet.generate.synthetic_queries import (
    SyntheticSummary,
    generate_queries,
    generate_settings,
    write_synthetic_queries,
)
from whet.records import Collection
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage

NAME = "queries"

logger = logging.getLogger(__name__)


def is_needed(run: Run) -> bool:
    """Whether the run's recipe asks for synthetic queries."""
    return run.lacks_queries or run.adds_queries


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact | None:
    """Bring `RUN/queries` up to date; None where no synthetic queries are needed.

    Raises DataError when no text passes the filter and there are no other training queries,
    ConfigError when nobody agrees to pay a server's calls.
    """
    if not is_needed(run):
        return None
    collection = run.source if run.lacks_queries else run.labelled
    recipe = run.draft if run.lacks_queries else run.recipe_before_paraphrases
    config = recipe.generate
    if run.lacks_queries:
        for fault in run.faults:
            logger.warning(str(fault))
        logger.info(f"{collection.name} has no training queries: {config.generator} generates them")

    def write(folder: Path) -> None:
        real_queries = [collection.queries[query] for query in collection.positives("train")]
        generator = generator_of(
            config,
            "queries",
            collection.passages.values(),
            run.replies,
            examples=real_queries,
            confirm=run.confirm,
        )
        queries, summary = generate_queries(collection, generator, run.base_encoder, config)
        write_synthetic_queries(folder, queries)
        spent = spent_in(run.replies)
        write_json(folder / "summary.json", summary.to_json() | spent)

    inputs = {
        "data": content_fingerprint(collection),
        "model": run.base_encoder.fingerprint,
    }
    settings = generate_settings(config)
    artifact = run_stage(run.path, NAME, inputs=inputs, config=settings, build=write)
    summary = SyntheticSummary.from_json(read_json(artifact.path / "summary.json"))
    logger.info(summary.line())
    if run.lacks_queries and not summary.queries:
        raise DataError([_no_queries(collection, artifact.path)])
    return artifact


def _no_queries(collection: Collection, folder: Path) -> Fault:
    return Fault(
        "no-queries",
        collection.name,
        "no query could be generated for its passages",
        f"See {folder / 'summary.json'} for what was rejected and why, "
        "or name another generate.generator.",
    )


def check_settings(run: Run) -> None:
    """Raise ConfigError, before any work, for generator settings that cannot work.

    Settings that nobody changed need no check.
    """
    config = run.known_recipe.generate
    if config != GenerateConfig(passages=config.passages):
        check_generator(config)


def check_is_needed(run: Run) -> None:
    """Raise ConfigError where somebody asks for the stage, and the recipe does not."""
    if is_needed(run):
        return
    count = run.recipe_before_paraphrases.generate.passages
    raise ConfigError(
        f"{run.source.name} has training queries, and no synthetic ones are to be added: "
        f"generate.passages is {count} in the recipe of {run.path}"
    )
