"""Paraphrases of training queries, for data with few of them.

arXiv 2408.11868 enlarges its pairs in this way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from whet.files import read_jsonl, write_jsonl
from whet.generate.query_filter import QueryFilter
from whet.records import Collection, GenerationRequest, Generator

PARAPHRASES_FILE = "paraphrases.jsonl"


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """Another wording of a training query, which has that query's answers."""

    query_id: str
    text: str


def paraphrase_queries(
    collection: Collection, generator: Generator, query_filter: QueryFilter, count: int
) -> list[Paraphrase]:
    """Up to `count` paraphrases of each training query that pass the filter with its best passage.

    Dev and test queries are neither shown nor paraphrased.
    """
    best_passage = {query: passages[0] for query, passages in collection.positives("train").items()}
    requests = [
        GenerationRequest(
            collection.passages[passage], count=count, query=collection.queries[query]
        )
        for query, passage in best_passage.items()
    ]
    proposals: list[Paraphrase] = []
    for query, result in zip(best_passage, generator.generate(requests), strict=True):
        proposals += [Paraphrase(query, text) for text in result.texts]
        if result.failure:
            query_filter.count_failure(best_passage[query], result.failure)
    pairs = [(best_passage[proposal.query_id], proposal.text) for proposal in proposals]
    passes = query_filter.filter(pairs)
    return [proposal for proposal, is_good in zip(proposals, passes, strict=True) if is_good]


def with_paraphrases(collection: Collection, paraphrases: Sequence[Paraphrase]) -> Collection:
    """The collection with paraphrases behind its training queries; their ids are QUERY~NUMBER."""
    queries = dict(collection.queries)
    train = dict(collection.qrels["train"])
    for number, paraphrase in enumerate(paraphrases, start=1):
        query_id = f"{paraphrase.query_id}~{number}"
        queries[query_id] = paraphrase.text
        train[query_id] = dict(collection.qrels["train"][paraphrase.query_id])
    return replace(collection, queries=queries, qrels={**collection.qrels, "train": train})


def is_paraphrase(query: str, collection: Collection) -> bool:
    """Whether a training query is a paraphrase of another one, by its id."""
    original, tilde, number = query.rpartition("~")
    return bool(tilde) and number.isdigit() and original in collection.qrels["train"]


def write_paraphrases(folder: Path, paraphrases: Sequence[Paraphrase]) -> None:
    """Write paraphrases as JSON lines."""
    rows: list[Mapping[str, str]] = [
        {"query_id": paraphrase.query_id, "text": paraphrase.text} for paraphrase in paraphrases
    ]
    write_jsonl(folder / PARAPHRASES_FILE, rows)


def read_paraphrases(folder: Path) -> list[Paraphrase]:
    """Read what `write_paraphrases` wrote. Raises ArtifactError on a missing or damaged file."""
    rows = read_jsonl(folder / PARAPHRASES_FILE)
    return [Paraphrase(row["query_id"], row["text"]) for row in rows]
