"""A run's model with its experts merged, and what the merging costs on the run's own test queries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whet.artifacts import VECTORS
from whet.encoder.packed import PackedEncoder, StoredEncoder
from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.retrieve import retrieve
from whet.evaluate.runs import read_trec
from whet.evaluate.significance import Comparison, compare
from whet.evaluate.verdict import Evaluation, assess, points, signed
from whet.models import load_model
from whet.moe.merge import How, merge
from whet.run.folder import Run

SAMPLE = 500  # training passages that tell how the experts are used


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged model's folder, its own evaluation, and its difference to the model with experts (0 to 1)."""

    folder: Path
    evaluation: Evaluation
    comparison: Comparison

    def sentence(self, how: How) -> str:
        """Say what was lost, as one line."""
        lost = self.comparison
        low, high = (signed(end) for end in lost.interval)
        score = self.evaluation.tuned[PRIMARY]
        before, after = points(score - lost.difference), points(score)
        return (
            f"Its experts were merged into one dense layer each ({how}): {PRIMARY} {before} → {after} "
            f"({signed(lost.difference)}, 95 % interval {low} to {high})."
        )


def merge_run(run: Run, how: How, folder: Path) -> Merged:
    """Merge the experts of a finished run's model, looking at training passages, and save it to `folder`.

    Raises ConfigError when the model has no experts.
    """
    passages = dict.fromkeys(passage for _, passage in run.collection.pairs("train"))
    model = merge(
        load_model(str(run.path / "model")),
        [run.passages[passage] for passage in passages][:SAMPLE],
        how,
    )
    model.save_pretrained(str(folder), create_model_card=False)
    queries = {query: run.collection.queries[query] for query in run.collection.positives("test")}
    encoder = StoredEncoder(PackedEncoder(model), run.path / VECTORS)
    qrels, rng = run.collection.qrels["test"], np.random.default_rng(run.recipe.seed)
    base, experts, bm25 = (
        read_trec(run.path / "evaluate" / f"{name}.trec") for name in ("base", "tuned", "bm25")
    )
    ranking = retrieve(encoder, queries, run.passages)
    before, after = (per_query(qrels, each, [PRIMARY])[PRIMARY] for each in (experts, ranking))
    return Merged(folder, assess(qrels, base, ranking, bm25, rng), compare(before, after, rng))
