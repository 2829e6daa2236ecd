"""The evaluate stage: base, tuned and BM25 on the test queries, with all that the report tells of them."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.markup import escape

from whet.artifacts import read_json, write_json, write_jsonl
from whet.evaluate.retrieve import retrieve, retrieve_lexically
from whet.evaluate.runs import write_qrels, write_trec
from whet.evaluate.slices import query_rows, slice_rows
from whet.evaluate.space import Space, space_of
from whet.evaluate.verdict import assess
from whet.models import load_model, stored_encoder
from whet.moe.upcycle import expert_layers
from whet.moe.usage import expert_use, starving
from whet.progress import say
from whet.records import Encoder, Ranking
from whet.run.folder import Run

EXPERT_SAMPLE = 500  # test passages that are run once more to see which experts they use


def write_evaluation(run: Run, folder: Path, *, train: Path) -> None:
    """Rank the corpus for the test queries with all three and leave rankings, verdict, queries, slices in `folder`."""
    qrels = run.collection.qrels["test"]
    queries = {query: run.collection.queries[query] for query in run.collection.positives("test")}
    model = load_model(str(train / "model"))
    tuned = stored_encoder(model, run.path)
    rankings: dict[str, Ranking] = {
        "base": retrieve(run.base_encoder, queries, run.passages),
        "tuned": retrieve(tuned, queries, run.passages),
        "bm25": retrieve_lexically(queries, run.passages),
    }
    for name, ranking in rankings.items():
        write_trec(folder / f"{name}.trec", ranking, name)
    write_qrels(folder / "test.qrels", qrels)
    rng = np.random.default_rng(run.recipe.seed)
    found = replace(
        assess(qrels, rankings["base"], rankings["tuned"], rankings["bm25"], rng),
        kept_base=read_json(train / "result.json")["kept"] == "base",
        synthetic="test" in run.collection.synthetic,
    )
    write_json(folder / "evaluation.json", found.to_record())
    spaces = {
        name: _space(run, encoder)
        for name, encoder in (("base", run.base_encoder), ("tuned", tuned))
    }
    write_json(folder / "space.json", {name: asdict(space) for name, space in spaces.items()})
    write_json(folder / "result.json", found.to_json())
    rows = query_rows(queries, run.collection.passages, qrels, rankings["base"], rankings["tuned"])
    write_jsonl(folder / "per_query.jsonl", (asdict(row) for row in rows))
    write_json(folder / "slices.json", [asdict(part) for part in slice_rows(rows, rng)])
    if expert_layers(model):
        answers = run.collection.answering("test")
        used = expert_use(model, [run.passages[passage] for passage in answers][:EXPERT_SAMPLE])
        write_json(folder / "experts.json", [asdict(layer) for layer in used])
        for line in starving(used):
            say(f"[yellow]{escape(line)}[/yellow]")


def _space(run: Run, encoder: Encoder) -> Space:
    """A model's space, from vectors that the ranking has stored."""
    texts = [run.collection.queries[query] for query in run.collection.positives("test")]
    queries, passages = (
        encoder.encode_queries(texts),
        encoder.encode_passages(list(run.passages.values())),
    )
    return space_of(
        queries, passages, run.collection, "test", np.random.default_rng(run.recipe.seed)
    )
