"""Stage `paraphrases`: other wordings of the training queries, by a language model.

Reads the labelled data. Writes paraphrases.jsonl (query_id, text), summary.json.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from whet.data.read import content_fingerprint
from whet.errors import ConfigError
from whet.files import read_json, write_json
from whet.generate.named import generator_of
from whet.generate.paraphrases import paraphrase_queries, read_paraphrases, write_paraphrases
from whet.generate.query_filter import QueryFilter
from whet.generate.reply_store import spent_in
from whet.generate.synthetic_queries import generate_settings, searches_of
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage

NAME = "paraphrases"

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact | None:
    """Bring `RUN/paraphrases` up to date; None where the recipe asks for none.

    Raises ConfigError when nobody agrees to pay a server's calls.
    """
    config = run.draft.generate
    if not config.paraphrases:
        return None
    collection = run.labelled

    def write(folder: Path) -> None:
        generator = generator_of(
            config,
            "paraphrases",
            collection.passages.values(),
            run.replies,
            confirm=run.confirm,
        )
        query_filter = QueryFilter(
            collection,
            searches_of(config, collection, run.base_encoder),
            config.round_trip,
            from_model=True,
            distinct=True,
        )
        paraphrases = paraphrase_queries(collection, generator, query_filter, config.paraphrases)
        write_paraphrases(folder, paraphrases)
        summary = {
            "generator": generator.name,
            "queries": len(paraphrases),
            "sieve": query_filter.summary().to_json(),
        }
        write_json(folder / "summary.json", summary | spent_in(run.replies))

    inputs = {
        "data": content_fingerprint(collection),
        "model": run.base_encoder.fingerprint,
    }
    settings = generate_settings(config)
    artifact = run_stage(run.path, NAME, inputs=inputs, config=settings, build=write)
    count = len(read_paraphrases(artifact.path))
    rejected = sum(read_json(artifact.path / "summary.json")["sieve"]["turned_down"].values())
    logger.info(
        f"{count:,} paraphrases of {len(collection.positives('train')):,} training queries; "
        f"{rejected:,} rejected (paraphrases/summary.json says why)"
    )
    return artifact


def check_is_needed(run: Run) -> None:
    """Raise ConfigError where somebody asks for the stage, and the recipe does not."""
    if not run.draft.generate.paraphrases:
        raise ConfigError(
            f"generate.paraphrases is 0 in the recipe of {run.path}: no paraphrases are asked for"
        )
