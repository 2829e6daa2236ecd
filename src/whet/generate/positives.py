"""Positive queries of mined negatives: CLP's H* (arXiv 2412.17364), from the most trusted source that has one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from whet.artifacts import read_jsonl, write_jsonl
from whet.data.split import same_text
from whet.generate.query_filter import QueryFilter
from whet.records import (
    GenerationRequest,
    Collection,
    Generator,
    MinedQuery,
    PositiveQuery,
    QuerySource,
)


@dataclass(frozen=True, slots=True)
class PositivesSummary:
    """Mined passages by the source of their queries; `none` are those without: they take no part in the penalty.

    `sieves` says, by source, what became of the texts that a generator wrote (`QueryFilter.to_json`).
    """

    passages: int
    gold: int
    given: int
    generated: int
    extractive: int
    none: int
    sieves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        return asdict(self)

    def line(self) -> str:
        """What was found, in words."""
        sources = ("gold", "given", "generated", "extractive")
        found = [f"{count:,} {source}" for source in sources if (count := getattr(self, source))]
        return f"queries that the {self.passages:,} mined passages answer: {', '.join([*found, f'{self.none:,} none'])}"


def positive_queries(
    collection: Collection,
    negatives: Sequence[MinedQuery],
    writers: Mapping[QuerySource, tuple[Generator, QueryFilter]],
    *,
    most: int = 1,
    sources: Sequence[QuerySource] = ("gold", "given", "generated", "extractive"),
) -> tuple[list[PositiveQuery], PositivesSummary]:
    """Find queries that each mined negative answers, in the order in which the passages appear in `negatives`.

    First come gold ones: training queries that the passage is a positive of; then those that the data gives; of either
    at most `most`. Else the first text that passes the sieve, of the first of `writers` that has one. Only `sources`
    count. A text that equals a dev or test query is never used.
    """
    wanted = list(
        dict.fromkeys(negative.passage_id for mined in negatives for negative in mined.negatives)
    )
    known = _known_queries(collection, wanted)
    found = {
        passage: [query for query in of_it if query.source in sources]
        for passage, of_it in known.items()
    }
    for source, (generator, sieve) in writers.items():
        if source not in sources:
            continue
        lacking = [passage for passage in wanted if not found[passage]]
        written = first_good(
            [GenerationRequest(collection.passages[passage]) for passage in lacking],
            generator,
            sieve,
        )
        found |= {
            passage: [PositiveQuery(passage, text, source)] for passage, text in written.items()
        }
    by_source = Counter(
        found[passage][0].source if found[passage] else "none" for passage in wanted
    )
    summary = PositivesSummary(
        passages=len(wanted),
        gold=by_source["gold"],
        given=by_source["given"],
        generated=by_source["generated"],
        extractive=by_source["extractive"],
        none=by_source["none"],
        sieves={source: sieve.to_json() for source, (_, sieve) in writers.items()},
    )
    return [query for passage in wanted for query in found[passage][:most]], summary


def first_good(
    briefs: Sequence[GenerationRequest], generator: Generator, sieve: QueryFilter
) -> dict[str, str]:
    """Passage id → the first text for its brief that passes the sieve; passages without one are left out.

    All first texts are sifted at once, then the second texts of passages still without one, and so on.
    """
    good: dict[str, str] = {}
    texts: dict[str, Sequence[str]] = {}
    for brief, written in zip(briefs, generator.generate(briefs) if briefs else (), strict=True):
        texts[brief.passage.id] = written.texts
        if written.failure:
            sieve.failed(brief.passage.id, written.failure)
    for attempt in range(max(map(len, texts.values()), default=0)):
        tried = [
            (p, of_p[attempt]) for p, of_p in texts.items() if p not in good and attempt < len(of_p)
        ]
        good |= {
            p: text for (p, text), passes in zip(tried, sieve.sift(tried), strict=True) if passes
        }
    return good


def write_positive_queries(path: Path, queries: Sequence[PositiveQuery]) -> None:
    """Write positive queries as JSON lines."""
    write_jsonl(path, (asdict(query) for query in queries))


def read_positive_queries(path: Path) -> list[PositiveQuery]:
    """Read what `write_positive_queries` wrote; raises ArtifactError on a missing or damaged file."""
    return [PositiveQuery(**row) for row in read_jsonl(path)]


def _known_queries(
    collection: Collection, passages: Sequence[str]
) -> dict[str, list[PositiveQuery]]:
    """Gather each passage's gold queries, or where it has none those that the data gives; never a dev or test query."""
    held_out = {
        same_text(collection.queries[query])
        for split, judged in collection.qrels.items()
        if split != "train"
        for query in judged
    }
    gold: dict[str, list[PositiveQuery]] = {}
    for query, positives in collection.positives("train").items():
        if same_text(collection.queries[query]) not in held_out:
            for passage in positives:
                gold.setdefault(passage, []).append(
                    PositiveQuery(passage, collection.queries[query], "gold")
                )
    return {
        passage: gold.get(passage)
        or [
            PositiveQuery(passage, text, "given")
            for text in collection.positive_queries.get(passage, ())
            if same_text(text) not in held_out
        ]
        for passage in passages
    }
