"""Positive queries of hard negatives: CLP's H* (arXiv 2412.17364), each from the best source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from whet.data.split import same_text
from whet.files import read_jsonl, write_jsonl
from whet.generate.query_filter import FilterSummary, QueryFilter
from whet.records import (
    Collection,
    GenerationRequest,
    Generator,
    MinedQuery,
    PositiveQuery,
    QuerySource,
)

SOURCES: Sequence[QuerySource] = (
    "gold",
    "given",
    "generated",
    "extractive",
)
"""All sources, most trusted first."""


@dataclass(frozen=True, slots=True)
class PositivesSummary:
    """Counts of hard negatives by the source of their positive queries.

    `none` counts the negatives without a positive query: they take no part in CLP's penalty.
    `filters` says, by source, what became of generated texts.
    """

    passages: int
    gold: int
    given: int
    generated: int
    extractive: int
    none: int
    filters: Mapping[str, FilterSummary] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        filters: dict[str, Any] = {}
        for source, summary in self.filters.items():
            filters[source] = summary.to_json()
        return {
            "passages": self.passages,
            "gold": self.gold,
            "given": self.given,
            "generated": self.generated,
            "extractive": self.extractive,
            "none": self.none,
            "sieves": filters,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "PositivesSummary":
        """Undo `to_json`."""
        counts = dict(record)
        filters: dict[str, FilterSummary] = {}
        for source, summary in counts.pop("sieves").items():
            filters[source] = FilterSummary.from_json(summary)
        return cls(**counts, filters=filters)

    def line(self) -> str:
        """Say the counts in one line."""
        parts: list[str] = []
        for source in SOURCES:
            count = getattr(self, source)
            if count:
                parts.append(f"{count:,} {source}")
        parts.append(f"{self.none:,} none")
        counts = ", ".join(parts)
        return f"positive queries of the {self.passages:,} hard negatives: {counts}"


def positive_queries(
    collection: Collection,
    mined_queries: Sequence[MinedQuery],
    generators: Mapping[QuerySource, tuple[Generator, QueryFilter]],
    *,
    most: int = 1,
    sources: Sequence[QuerySource] = SOURCES,
) -> tuple[list[PositiveQuery], PositivesSummary]:
    """Find queries that each hard negative answers, in the order in which these were mined.

    Gold queries come first: training queries that the passage is a positive of. Then come those
    that the data gives. Of either, each passage gets at most `most`. A passage that has neither
    gets one generated text: the first that passes the filter, from the first of `generators` that
    has one. Only `sources` count. A text that equals a dev or test query is never used.
    """
    passage_ids = _negative_ids(mined_queries)
    queries_of = _known_queries(collection, passage_ids, sources)
    for source, (generator, query_filter) in generators.items():
        if source not in sources:
            continue
        requests = [
            GenerationRequest(collection.passages[passage_id])
            for passage_id in passage_ids
            if not queries_of[passage_id]
        ]
        texts = first_good(requests, generator, query_filter)
        for passage_id, text in texts.items():
            query = PositiveQuery(passage_id, text, source)
            queries_of[passage_id] = [query]
    queries: list[PositiveQuery] = []
    source_counts: Counter[str] = Counter()
    for passage_id in passage_ids:
        of_passage = queries_of[passage_id]
        queries += of_passage[:most]
        if of_passage:
            source_counts[of_passage[0].source] += 1
        else:
            source_counts["none"] += 1
    filters: dict[str, FilterSummary] = {}
    for source, (_, query_filter) in generators.items():
        filters[source] = query_filter.summary()
    summary = PositivesSummary(
        passages=len(passage_ids),
        gold=source_counts["gold"],
        given=source_counts["given"],
        generated=source_counts["generated"],
        extractive=source_counts["extractive"],
        none=source_counts["none"],
        filters=filters,
    )
    return queries, summary


def first_good(
    requests: Sequence[GenerationRequest], generator: Generator, query_filter: QueryFilter
) -> dict[str, str]:
    """Passage id → the first text for its request that passes the filter, where one does.

    First the first texts of all passages are filtered, in one call. Then come the second texts of
    passages that still have none, and so on: searches are faster in batches.
    """
    if not requests:
        return {}
    results = generator.generate(requests)
    texts_of: dict[str, Sequence[str]] = {}
    for request, result in zip(requests, results, strict=True):
        texts_of[request.passage.id] = result.texts
        if result.failure:
            query_filter.count_failure(request.passage.id, result.failure)
    good: dict[str, str] = {}
    text_counts = map(len, texts_of.values())
    most_texts = max(text_counts, default=0)
    for attempt in range(most_texts):
        pairs: list[tuple[str, str]] = []
        for passage_id, texts in texts_of.items():
            if passage_id not in good and attempt < len(texts):
                pair = (passage_id, texts[attempt])
                pairs.append(pair)
        passes = query_filter.filter(pairs)
        for (passage_id, text), is_good in zip(pairs, passes, strict=True):
            if is_good:
                good[passage_id] = text
    return good


def write_positive_queries(path: Path, queries: Sequence[PositiveQuery]) -> None:
    """Write positive queries as JSON lines."""
    rows = (asdict(query) for query in queries)
    write_jsonl(path, rows)


def read_positive_queries(path: Path) -> list[PositiveQuery]:
    """Read what `write_positive_queries` wrote.

    Raises ArtifactError on a missing or damaged file.
    """
    rows = read_jsonl(path)
    return [PositiveQuery(**row) for row in rows]


def _negative_ids(mined_queries: Sequence[MinedQuery]) -> list[str]:
    """Ids of all hard negatives, each once, in the order in which they first appear."""
    passage_ids: dict[str, None] = {}
    for mined_query in mined_queries:
        for negative in mined_query.negatives:
            passage_ids[negative.passage_id] = None
    return list(passage_ids)


def _known_queries(
    collection: Collection, passage_ids: Sequence[str], sources: Sequence[QuerySource]
) -> dict[str, list[PositiveQuery]]:
    """Passage id → its gold queries, or where it has none those that the data gives.

    Then queries from other sources than `sources` are left out, and so are dev and test queries.
    """
    held_out = _held_out_texts(collection)
    gold: dict[str, list[PositiveQuery]] = {}
    for query_id, positive_ids in collection.positives("train").items():
        text = collection.queries[query_id]
        if same_text(text) in held_out:
            continue
        for passage_id in positive_ids:
            query = PositiveQuery(passage_id, text, "gold")
            gold.setdefault(passage_id, []).append(query)
    queries_of: dict[str, list[PositiveQuery]] = {}
    for passage_id in passage_ids:
        given_texts = collection.positive_queries.get(passage_id, ())
        given = [
            PositiveQuery(passage_id, text, "given")
            for text in given_texts
            if same_text(text) not in held_out
        ]
        known = gold.get(passage_id) or given
        queries_of[passage_id] = [query for query in known if query.source in sources]
    return queries_of


def _held_out_texts(collection: Collection) -> set[str]:
    """Dev and test queries, as `same_text` gives them."""
    return {
        same_text(collection.queries[query_id])
        for split, judgements in collection.qrels.items()
        if split != "train"
        for query_id in judgements
    }
