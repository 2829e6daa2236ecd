"""A model with its experts merged, and what merging costs on test queries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whet.encoder import PackedEncoder, StoredEncoder
from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.retrieve import retrieve
from whet.evaluate.runs import read_trec
from whet.evaluate.significance import Comparison, compare
from whet.evaluate.verdict import Evaluation, assess, points, signed
from whet.models import load_model
from whet.moe.merge import How, merge
from whet.records import Collection, Ranking

MAX_SAMPLED_PASSAGES = 500  # training passages on which the use of the experts is measured


@dataclass(frozen=True, slots=True)
class EvaluatedRankings:
    """The rankings of the test queries by the base model, by the model with experts, by BM25."""

    base: Ranking
    experts: Ranking
    bm25: Ranking

    @classmethod
    def read(cls, folder: Path) -> "EvaluatedRankings":
        """Read them from the folder of an evaluate stage."""
        return cls(
            base=read_trec(folder / "base.trec"),
            experts=read_trec(folder / "tuned.trec"),
            bm25=read_trec(folder / "bm25.trec"),
        )


@dataclass(frozen=True, slots=True)
class MergedModel:
    """A merged model's folder, its evaluation, and its difference to the model with experts.

    The difference is in nDCG@10, from 0 to 1, and negative where merging lost.
    """

    folder: Path
    evaluation: Evaluation
    comparison: Comparison

    def sentence(self, how: How) -> str:
        """Say in one line what merging changed."""
        change = self.comparison.difference
        low, high = self.comparison.interval
        merged_score = self.evaluation.tuned[PRIMARY]
        experts_score = merged_score - change
        return (
            f"Its experts were merged into one dense layer each ({how}): "
            f"{PRIMARY} {points(experts_score)} → {points(merged_score)} "
            f"({signed(change)}, 95 % interval {signed(low)} to {signed(high)})."
        )


def merge_experts(
    model_dir: Path,
    folder: Path,
    how: How,
    *,
    collection: Collection,
    rankings: EvaluatedRankings,
    vectors: Path,
    seed: int,
) -> MergedModel:
    """Merge the experts of the model in `model_dir`, save the result to `folder`, and evaluate it.

    The merge measures the experts on positives of training queries. The evaluation compares with
    `rankings`, which are of the test queries. `vectors` is the file or folder that stores vectors.

    Raises ConfigError when the model has no experts.
    """
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    trained_on = dict.fromkeys(passage for _, passage in collection.pairs("train"))
    texts = [passages[passage] for passage in trained_on]
    model = merge(load_model(str(model_dir)), texts[:MAX_SAMPLED_PASSAGES], how)
    model.save_pretrained(str(folder), create_model_card=False)

    encoder = StoredEncoder(PackedEncoder(model), vectors)
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    merged = retrieve(encoder, queries, passages)

    qrels = collection.qrels["test"]
    rng = np.random.default_rng(seed)
    evaluation = assess(qrels, rankings.base, merged, rankings.bm25, rng)
    before = per_query(qrels, rankings.experts, [PRIMARY])[PRIMARY]
    after = per_query(qrels, merged, [PRIMARY])[PRIMARY]
    return MergedModel(folder, evaluation, compare(before, after, rng))
