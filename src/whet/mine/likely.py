"""Training passages that a query's own answer can hardly be told from: in a batch they are no negatives either.

The margin that keeps likely false negatives out of the mined ones (NV-Retriever, arXiv 2407.15831), held against the
passages that meet a query by chance or by design in a batch; the guide is the base model, as in GISTEmbed
(arXiv 2402.16829).
"""

from pathlib import Path

import numpy as np

from whet.artifacts import read_jsonl, write_jsonl
from whet.mine.ance import highest_safe_score, weakest_positive
from whet.mine.config import MineConfig
from whet.mine.known import judged
from whet.records import Collection, Vectors
from whet.search.dense import top_k


def likely_positives(
    collection: Collection, query_vectors: Vectors, passage_vectors: Vectors, config: MineConfig
) -> dict[str, list[str]]:
    """Training query → passages of other training queries that score above the margin for it, best first.

    Vectors are what `mine_negatives` takes; the search goes as deep as mining does. Passages known to answer the query,
    or judged not to, are not among them. Queries without any are left out.
    """
    known = judged(collection)
    positives = np.unique(known.positive_pairs[1])
    hits = top_k(query_vectors, passage_vectors[positives], config.depth)
    found = positives[hits.indices]
    scores = weakest_positive(known, query_vectors, passage_vectors)
    limit = highest_safe_score(scores, config.relative_margin, config.absolute_margin)
    close = (hits.indices >= 0) & (hits.scores > limit[:, None])
    close &= ~known.known_positive(found) & ~np.isin(known.keys(found), known.refuted)
    ids = list(collection.passages)
    return {
        query: [ids[passage] for passage in found[row][close[row]].tolist()]
        for row, query in enumerate(collection.positives("train"))
        if close[row].any()
    }


def write_likely(path: Path, likely: dict[str, list[str]]) -> None:
    """Write them as JSON lines, a query each."""
    write_jsonl(
        path, ({"query_id": query, "passages": passages} for query, passages in likely.items())
    )


def read_likely(path: Path) -> dict[str, list[str]]:
    """Read what `write_likely` wrote; raises ArtifactError on a missing or damaged file."""
    return {row["query_id"]: row["passages"] for row in read_jsonl(path)}
