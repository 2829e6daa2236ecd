"""Synthetic training queries.

Passages are chosen for coverage, a generator writes queries, a filter removes the bad ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from whet.data.split import same_text
from whet.files import read_jsonl, source_digest, write_jsonl
from whet.generate.config import GenerateConfig
from whet.generate.named import OFFLINE, local_model
from whet.generate.positives import first_good
from whet.generate.query_filter import QueryFilter, Search
from whet.records import (
    Collection,
    Encoder,
    GenerationRequest,
    Generator,
    Passage,
    Style,
    SyntheticQuery,
    Vectors,
)
from whet.search.bm25 import Bm25, terms
from whet.search.dense import Hits, top_k

MIN_PASSAGE_TERMS = 6  # of a passage that a query is generated for
MAX_CLUSTERS = 200
ID_PREFIX = "synthetic-"
QUERIES_FILE = "queries.jsonl"

# Settings that change how a server is called, and not what it says.
CALL_SETTINGS = {"concurrency", "timeout", "tries", "price_in", "price_out"}


@dataclass(frozen=True, slots=True)
class SyntheticSummary:
    """What became of the passages and of the generated texts.

    `passages` is the size of the corpus, `chosen` the number of passages that queries were asked
    for, `queries` the number that passed. `sieve` is the filter's account (`QueryFilter.to_json`).
    """

    generator: str
    passages: int
    chosen: int
    queries: int
    sieve: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a JSON object."""
        return {
            "generator": self.generator,
            "passages": self.passages,
            "chosen": self.chosen,
            "queries": self.queries,
            "sieve": dict(self.sieve),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SyntheticSummary":
        """Undo `to_json`; other keys are ignored."""
        return cls(
            generator=record["generator"],
            passages=record["passages"],
            chosen=record["chosen"],
            queries=record["queries"],
            sieve=record["sieve"],
        )

    def line(self) -> str:
        """The counts in one line."""
        if not self.chosen:
            return (
                "no synthetic queries: every passage answers a query, "
                "or is too short to generate one"
            )
        line = f"{self.queries:,} queries for {self.chosen:,} of {self.passages:,} passages"
        rejected = self.sieve["turned_down"]
        if not rejected:
            return line
        reasons = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in rejected.items()]
        return f"{line}; rejected: {', '.join(reasons)}"


def generate_queries(
    collection: Collection, generator: Generator, encoder: Encoder, config: GenerateConfig
) -> tuple[list[SyntheticQuery], SyntheticSummary]:
    """Generate queries for `config.passages` passages; returns those that pass, and a summary.

    Where there are training queries, passages that answer a query of any split are left out, by
    their text. Those of train have a query already. The subjects of dev and test stay out of
    training.
    Ids name the style: synthetic-000012-keywords.
    """
    rng = np.random.default_rng(config.seed)
    passages = list(collection.passages.values())
    vectors = encoder.encode_passages([passage.content for passage in passages])
    is_open = _open_passages(collection)
    open_passages = [passages[row] for row in np.flatnonzero(is_open).tolist()]
    chosen = choose_passages(open_passages, vectors[is_open], config.passages, rng)
    query_filter = QueryFilter(
        collection,
        searches_of(config, collection, encoder),
        config.round_trip,
        from_model=config.generator != OFFLINE,
        distinct=True,
    )
    queries: list[SyntheticQuery] = []
    # Round 0 asks for every passage's first query, round 1 for every passage's second, and so on.
    # So a list that is cut short still covers all passages.
    for round_number in range(config.per_passage):
        style_of = _styles(chosen, config.styles, round_number)
        requests = [GenerationRequest(passage, style_of[passage.id]) for passage in chosen]
        for passage_id, text in first_good(requests, generator, query_filter).items():
            query_id = f"{ID_PREFIX}{len(queries):06}-{style_of[passage_id]}"
            queries.append(SyntheticQuery(query_id, text, passage_id))
    summary = SyntheticSummary(
        generator=generator.name,
        passages=len(passages),
        chosen=len(chosen),
        queries=len(queries),
        sieve=query_filter.summary().to_json(),
    )
    return queries, summary


def _open_passages(collection: Collection) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether each passage may get a synthetic query: (passage,) bool."""
    answer_texts: set[str] = set()
    if collection.positives("train"):
        for split in collection.qrels:
            for passage_id in collection.answering(split):
                answer_texts.add(same_text(collection.passages[passage_id].content))
    is_open = [
        same_text(passage.content) not in answer_texts for passage in collection.passages.values()
    ]
    return np.array(is_open, bool)


def _styles(
    passages: Sequence[Passage], styles: Sequence[Style], round_number: int
) -> dict[str, Style]:
    """Passage id → style of its query. Each round shifts the styles by one passage."""
    return {
        passage.id: styles[(number + round_number) % len(styles)]
        for number, passage in enumerate(passages)
    }


def choose_passages(
    passages: Sequence[Passage], vectors: Vectors, count: int, rng: np.random.Generator
) -> list[Passage]:
    """Choose up to `count` passages from all over the corpus, in corpus order.

    Vectors are clustered. Then each cluster gives its first random passage, each its second, and so
    on. Passages of fewer than MIN_PASSAGE_TERMS terms are not eligible, nor are repeated texts.
    """
    eligible = _eligible_rows(passages)
    if len(eligible) <= count:
        return [passages[row] for row in eligible]
    cluster = _clusters(vectors[eligible], min(MAX_CLUSTERS, count), int(rng.integers(2**31)))
    order = rng.permutation(len(eligible)).tolist()
    # turn[i]: how many passages of i's cluster stand before it in the random order.
    # Clusters a a b a in this order have turns 0 1 0 2; sorted by turn, b comes second.
    turn = np.zeros(len(eligible), np.int64)
    taken_of_cluster: dict[int, int] = {}
    for index in order:
        turn[index] = taken_of_cluster.get(int(cluster[index]), 0)
        taken_of_cluster[int(cluster[index])] = int(turn[index]) + 1
    by_turn = sorted(order, key=lambda index: turn[index])
    return [passages[eligible[index]] for index in sorted(by_turn[:count])]


def _eligible_rows(passages: Sequence[Passage]) -> list[int]:
    """Rows of passages that are long enough, the first of each text."""
    seen: set[str] = set()
    rows = []
    for row, passage in enumerate(passages):
        text = same_text(passage.content)
        is_new = text not in seen
        seen.add(text)
        if is_new and len(terms(passage.content)) >= MIN_PASSAGE_TERMS:
            rows.append(row)
    return rows


def _clusters(vectors: Vectors, count: int, seed: int) -> Int64[np.ndarray, " doc"]:
    from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]

    clusters: Any = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=2048)
    return np.asarray(clusters.fit_predict(vectors), np.int64)


def searches_of(config: GenerateConfig, collection: Collection, encoder: Encoder) -> list[Search]:
    """The searches of the round trip: a generated query must find its passage in each of them."""
    texts = [passage.content for passage in collection.passages.values()]

    @cache
    def passage_vectors() -> Vectors:  # only where the base model is asked
        return encoder.encode_passages(texts)

    def search_with_base(queries: Sequence[str], k: int) -> Hits:
        return top_k(encoder.encode_queries(list(queries)), passage_vectors(), k)

    return [Bm25(texts).top_k if name == "bm25" else search_with_base for name in config.searches]


def generate_settings(config: GenerateConfig) -> dict[str, Any]:
    """What decides the generated texts: settings, hashes of prompts and of a local model."""
    files = [source_digest(path) for path in (config.prompts, local_model(config.generator))]
    return config.model_dump(mode="json", exclude=CALL_SETTINGS) | {"files": files}


def with_synthetic_train_split(
    collection: Collection, queries: Sequence[SyntheticQuery]
) -> Collection:
    """The collection with synthetic queries as its train split."""
    synthetic = collection.synthetic | {"train"}
    return replace(collection.augmented(queries), synthetic=synthetic)


def write_synthetic_queries(folder: Path, queries: Sequence[SyntheticQuery]) -> None:
    """Write queries as JSON lines."""
    write_jsonl(folder / QUERIES_FILE, (query.to_json() for query in queries))


def read_synthetic_queries(folder: Path) -> list[SyntheticQuery]:
    """Undo `write_synthetic_queries`. Raises ArtifactError on a missing or damaged file."""
    return [SyntheticQuery.from_json(row) for row in read_jsonl(folder / QUERIES_FILE)]
