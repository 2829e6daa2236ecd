"""Stage `evaluate`: base model, tuned model and BM25 on the test queries.

Reads the data and RUN/train. Writes the rankings base.trec, tuned.trec and bm25.trec; test.qrels;
evaluation.json; result.json (what `--json` prints); per_query.jsonl; slices.json; space.json; and,
where the tuned model has experts, experts.json.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whet.evaluate.retrieve import retrieve, retrieve_lexically
from whet.evaluate.runs import write_qrels, write_trec
from whet.evaluate.slices import query_rows, slice_rows
from whet.evaluate.space import Space, space_of
from whet.evaluate.verdict import assess
from whet.files import write_json, write_jsonl
from whet.models import load_model, stored_encoder
from whet.moe.upcycle import expert_layers
from whet.moe.usage import expert_use, starving
from whet.records import Encoder, Ranking
from whet.run.folder import Run
from whet.run.results import read_training_result
from whet.stage_folder import Artifact, run_stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NAME = "evaluate"
MAX_EXPERT_PASSAGES = 500  # test passages that are read once more to see which experts they use

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/evaluate` up to date."""

    def write(folder: Path) -> None:
        write_evaluation(run, folder)

    inputs = run.inputs | {"train": done["train"].fingerprint}
    config = {
        "seed": run.recipe.seed,
        "synthetic": sorted(run.collection.synthetic),
    }
    return run_stage(run.path, NAME, inputs=inputs, config=config, build=write)


def write_evaluation(run: Run, folder: Path) -> None:
    """Rank the corpus for the test queries, compare, and leave everything in `folder`."""
    model = load_model(str(run.path / "train" / "model"))
    tuned_encoder = stored_encoder(model, run.path)
    qrels = run.collection.qrels["test"]
    queries = _test_queries(run)
    base = retrieve(run.base_encoder, queries, run.passages)
    tuned = retrieve(tuned_encoder, queries, run.passages)
    bm25 = retrieve_lexically(queries, run.passages)
    rankings: dict[str, Ranking] = {
        "base": base,
        "tuned": tuned,
        "bm25": bm25,
    }
    for name, ranking in rankings.items():
        write_trec(folder / f"{name}.trec", ranking, name)
    write_qrels(folder / "test.qrels", qrels)

    rng = np.random.default_rng(run.recipe.seed)
    evaluation = replace(
        assess(qrels, base, tuned, bm25, rng),
        kept_base=read_training_result(run.path).kept == "base",
        synthetic="test" in run.collection.synthetic,
    )
    write_json(folder / "evaluation.json", evaluation.to_json())
    write_json(folder / "result.json", evaluation.to_result())

    rows = query_rows(queries, run.collection.passages, qrels, base, tuned)
    slices = slice_rows(rows, rng)
    row_records = [row.to_json() for row in rows]
    slice_records = [part.to_json() for part in slices]
    write_jsonl(folder / "per_query.jsonl", row_records)
    write_json(folder / "slices.json", slice_records)

    base_space = _space(run, run.base_encoder)
    tuned_space = _space(run, tuned_encoder)
    spaces = {
        "base": base_space.to_json(),
        "tuned": tuned_space.to_json(),
    }
    write_json(folder / "space.json", spaces)
    if expert_layers(model):
        _write_expert_use(run, model, folder)


def _test_queries(run: Run) -> dict[str, str]:
    """Test query id → text, of the queries that have a positive."""
    positives = run.collection.positives("test")
    return {query_id: run.collection.queries[query_id] for query_id in positives}


def _space(run: Run, encoder: Encoder) -> Space:
    """A model's space, from vectors that the ranking has stored; of the same texts for each."""
    query_texts = list(_test_queries(run).values())
    passage_texts = list(run.passages.values())
    query_vectors = encoder.encode_queries(query_texts)
    passage_vectors = encoder.encode_passages(passage_texts)
    rng = np.random.default_rng(run.recipe.seed)
    return space_of(query_vectors, passage_vectors, run.collection, "test", rng)


def _write_expert_use(run: Run, model: "SentenceTransformer", folder: Path) -> None:
    """Write which experts the test passages use, and warn of those that hardly learn."""
    passage_ids = list(run.collection.answering("test"))[:MAX_EXPERT_PASSAGES]
    texts = [run.passages[passage_id] for passage_id in passage_ids]
    layers = expert_use(model, texts)
    records = [asdict(layer) for layer in layers]
    write_json(folder / "experts.json", records)
    for line in starving(layers):
        logger.warning(line)
