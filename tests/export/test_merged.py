import json

import numpy as np
import pytest

from whet.data.read import read
from whet.data.split import with_splits
from whet.encoder import PackedEncoder
from whet.errors import ConfigError
from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.retrieve import retrieve
from whet.evaluate.runs import write_trec
from whet.export.merged import EvaluatedRankings, merge_experts
from whet.models import load_model


@pytest.fixture(scope="module")
def collection(tiny_data):
    collection, _ = read(tiny_data)
    return with_splits(collection, seed=0)[0]


def rank(model_dir, collection):
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    return retrieve(PackedEncoder(load_model(str(model_dir))), queries, passages)


@pytest.fixture(scope="module")
def rankings(collection, tiny_model, experts_dir, tmp_path_factory):
    """Rankings as an evaluate stage leaves them; the base model's serve as those of BM25."""
    folder = tmp_path_factory.mktemp("evaluate")
    base = rank(tiny_model, collection)
    write_trec(folder / "base.trec", base, "base")
    write_trec(folder / "bm25.trec", base, "bm25")
    write_trec(folder / "tuned.trec", rank(experts_dir, collection), "tuned")
    return EvaluatedRankings.read(folder)


@pytest.mark.parametrize("how", ["average", "regression"])
def test_a_merged_model_is_plain_and_its_scores_are_its_own(
    how, collection, rankings, experts_dir, tmp_path
):
    merged = merge_experts(
        experts_dir,
        tmp_path / "merged",
        how,
        collection=collection,
        rankings=rankings,
        vectors=tmp_path / "vectors",
        seed=0,
    )
    config = json.loads((merged.folder / "config.json").read_text())
    assert config["model_type"] == "bert"

    qrels = collection.qrels["test"]
    of_merged = per_query(qrels, rank(merged.folder, collection), [PRIMARY])[PRIMARY]
    of_experts = per_query(qrels, rankings.experts, [PRIMARY])[PRIMARY]
    score = np.mean(list(of_merged.values()))
    change = score - np.mean(list(of_experts.values()))
    assert merged.evaluation.tuned[PRIMARY] == pytest.approx(score, abs=1e-6)
    assert merged.comparison.difference == pytest.approx(change, abs=1e-6)
    assert f"({how}): nDCG@10" in merged.sentence(how)
    assert f"→ {100 * score:.1f} (" in merged.sentence(how)


def test_a_dense_model_has_nothing_to_merge(collection, rankings, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="no experts"):
        merge_experts(
            tiny_model,
            tmp_path / "merged",
            "average",
            collection=collection,
            rankings=rankings,
            vectors=tmp_path / "vectors",
            seed=0,
        )
    assert not (tmp_path / "merged").exists()
