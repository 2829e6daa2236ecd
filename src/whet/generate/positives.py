"""Positive queries of mined negatives: CLP's H* (arXiv 2412.17364), from the most trusted source that has one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from whet.artifacts import read_jsonl, write_jsonl
from whet.data.split import same_text
from whet.records import Collection, Generator, MinedQuery, PositiveQuery
from whet.search import Hits

Search: TypeAlias = Callable[[Sequence[str], int], Hits]
"""Query texts and k → hits whose indices follow `collection.passages`; `Bm25(...).top_k` is one."""


@dataclass(frozen=True, slots=True)
class PositivesSummary:
    """Mined passages by the source of their queries, and texts of the generator that were turned down.

    `none` are passages without a query: they take no part in the penalty. `not_found` are texts that did not find their
    passage, `already_a_query` those that equal a query of the data.
    """

    passages: int
    gold: int
    given: int
    generated: int
    none: int
    not_found: int
    already_a_query: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        return asdict(self)


def positive_queries(
    collection: Collection,
    negatives: Sequence[MinedQuery],
    generator: Generator,
    searches: Sequence[Search],
    *,
    source: Literal["extractive", "generated"] = "extractive",
    within: int = 3,
    most: int = 1,
) -> tuple[list[PositiveQuery], PositivesSummary]:
    """Find queries that each mined negative answers, in the order in which the passages appear in `negatives`.

    First come gold ones: training queries that the passage is a positive of; then those that the data gives; of either
    at most `most`. Else the first text of `generator`, recorded as `source`, that finds the passage (or one with its
    text) among the first `within` of every search. A text that equals a dev or test query is never used.
    """
    wanted = list(dict.fromkeys(negative.passage_id for mined in negatives for negative in mined.negatives))
    known = _known_queries(collection, wanted)
    lacking = [passage for passage in wanted if not known[passage]]
    written, turned_down = _round_trip(collection, lacking, generator, searches, within)
    found = known | {passage: [PositiveQuery(passage, text, source)] for passage, text in written.items()}
    sources = Counter(found[passage][0].source if found[passage] else "none" for passage in wanted)
    summary = PositivesSummary(
        passages=len(wanted),
        gold=sources["gold"],
        given=sources["given"],
        generated=sources[source],
        none=sources["none"],
        not_found=turned_down["not_found"],
        already_a_query=turned_down["already_a_query"],
    )
    return [query for passage in wanted for query in found[passage][:most]], summary


def write_positive_queries(path: Path, queries: Sequence[PositiveQuery]) -> None:
    """Write positive queries as JSON lines."""
    write_jsonl(path, (asdict(query) for query in queries))


def read_positive_queries(path: Path) -> list[PositiveQuery]:
    """Read what `write_positive_queries` wrote; raises ArtifactError on a missing or damaged file."""
    return [PositiveQuery(**row) for row in read_jsonl(path)]


def _known_queries(collection: Collection, passages: Sequence[str]) -> dict[str, list[PositiveQuery]]:
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
                gold.setdefault(passage, []).append(PositiveQuery(passage, collection.queries[query], "gold"))
    return {
        passage: gold.get(passage)
        or [
            PositiveQuery(passage, text, "given")
            for text in collection.answers.get(passage, ())
            if same_text(text) not in held_out
        ]
        for passage in passages
    }


def _round_trip(
    collection: Collection, passages: Sequence[str], generator: Generator, searches: Sequence[Search], within: int
) -> tuple[dict[str, str], Counter[str]]:
    """Return passage → its first generated text that finds it, and how many texts were turned down for what.

    Texts that equal any query of the data are refused: a training query has its own positives, a dev or test query must
    stay unseen. All first texts are searched at once, then the second texts of passages still without one, and so on.
    """
    queries = {same_text(text) for text in collection.queries.values()}
    written: dict[str, str] = {}
    turned_down: Counter[str] = Counter()
    texts = dict(zip(passages, generator.generate([collection.passages[p] for p in passages]), strict=True))
    for attempt in range(max(map(len, texts.values()), default=0)):
        tried = {p: of_p[attempt] for p, of_p in texts.items() if p not in written and attempt < len(of_p)}
        fresh = {passage: text for passage, text in tried.items() if same_text(text) not in queries}
        found = _find_back(collection, fresh, searches, within)
        turned_down["already_a_query"] += len(tried) - len(fresh)
        turned_down["not_found"] += len(fresh) - len(found)
        written |= {passage: fresh[passage] for passage in found}
    return written, turned_down


def _find_back(collection: Collection, texts: Mapping[str, str], searches: Sequence[Search], within: int) -> list[str]:
    """Return the passages that every search finds by their text."""
    contents = [same_text(passage.content) for passage in collection.passages.values()]
    left = list(texts)
    for search in searches:
        hits = search([texts[passage] for passage in left], within)
        wanted = [same_text(collection.passages[passage].content) for passage in left]
        left = [
            passage
            for passage, content, row in zip(left, wanted, hits.indices.tolist(), strict=True)
            if content in {contents[index] for index in row}
        ]
    return left
