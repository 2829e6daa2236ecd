"""Stage `mine`: hard negatives of the training queries by the base model (ANCE, arXiv 2007.00808).

Reads the data and the synthetic queries. Writes negatives.jsonl, summary.json.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from whet.files import digest, read_json, write_json
from whet.mine.ance import mine_negatives
from whet.mine.mined import write_mined
from whet.mine.summary import MiningSummary
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage

NAME = "mine"

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/mine` up to date."""

    def write(folder: Path) -> None:
        data = run.training_collection
        texts = [data.queries[query] for query in data.positives("train")]
        query_vectors = run.base_encoder.encode_queries(texts)
        passage_vectors = run.base_encoder.encode_passages(list(run.passages.values()))
        mined, summary = mine_negatives(data, query_vectors, passage_vectors, run.recipe.mine)
        write_mined(folder / "negatives.jsonl", mined)
        write_json(folder / "summary.json", summary.to_json())

    inputs = dict(run.inputs)
    if run.synthetic_queries:
        inputs["written"] = digest([query.to_json() for query in run.synthetic_queries])
    config = {"mine": run.recipe.mine.model_dump()}
    artifact = run_stage(run.path, NAME, inputs=inputs, config=config, build=write)
    if not artifact.skipped:
        logger.info(read_summary(artifact.path).line())
    return artifact


def read_summary(folder: Path) -> MiningSummary:
    """The summary of a finished stage."""
    return MiningSummary.from_json(read_json(folder / "summary.json"))
