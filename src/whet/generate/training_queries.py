"""Training queries for a corpus that has none: passages chosen for coverage, queries written for them, and sifted."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from rich.markup import escape

from whet.artifacts import (
    read_json,
    read_jsonl,
    run_stage_locked,
    source_digest,
    write_json,
    write_jsonl,
)
from whet.data.read import content_fingerprint
from whet.data.split import same_text
from whet.encoder.packed import StoredEncoder
from whet.errors import DataError, Fault
from whet.generate.config import GenerateConfig
from whet.generate.named import OFFLINE, generator_of, local_model
from whet.generate.positives import first_good
from whet.generate.reply_store import spent_in
from whet.generate.query_filter import Search, QueryFilter
from whet.progress import say
from whet.records import GenerationRequest, Collection, Encoder, Generator, Passage, Vectors
from whet.search.bm25 import Bm25, terms
from whet.search.dense import Hits, top_k

FEWEST_TERMS = 6  # of a passage that a query is written for
CLUSTERS = 200
PREFIX = "synthetic-"
REPLIES = "replies.sqlite"
STAGE = "queries"


def with_training_queries(
    collection: Collection,
    run: Path,
    encoder: StoredEncoder,
    config: GenerateConfig,
    *,
    yes: bool = False,
) -> Collection:
    """The collection with queries that were written for its passages as its train split; the stage RUN/queries.

    Raises DataError when no text passes for a query, ConfigError when a server's calls are not agreed to.
    """
    say(
        f"{escape(collection.name)} has no training queries: {escape(config.generator)} writes them"
    )
    rows = written_queries(collection, run, encoder, config, yes=yes)
    if not rows:
        cure = f"See {run / STAGE / 'summary.json'} for what was turned down and why, or name another generate.generator."
        raise DataError(
            [
                Fault(
                    "no-queries",
                    collection.name,
                    "no query could be written for its passages",
                    cure,
                )
            ]
        )
    return replace(collection.augmented(rows), synthetic=collection.synthetic | {"train"})


def written_queries(
    collection: Collection,
    run: Path,
    encoder: StoredEncoder,
    config: GenerateConfig,
    *,
    yes: bool = False,
) -> list[dict[str, str]]:
    """Queries for passages that no query asks for: rows of query_id, text, passage_id; the stage RUN/queries.

    Where there are training queries, theirs is the form that the new ones take. Raises ConfigError when a server's
    calls are not agreed to.
    """

    def write(folder: Path) -> None:
        passages, asked = collection.passages.values(), collection.positives("train")
        examples = [collection.queries[query] for query in asked]
        generator = generator_of(
            config, "queries", passages, run / REPLIES, examples=examples, yes=yes
        )
        rows, summary = write_queries(collection, generator, encoder, config)
        write_jsonl(folder / "queries.jsonl", rows)
        write_json(folder / "summary.json", summary | spent_in(run / REPLIES))

    inputs = {"data": content_fingerprint(collection), "model": encoder.fingerprint}
    made = run_stage_locked(
        run, STAGE, inputs=inputs, config=generate_settings(config), build=write
    ).path
    say(_line(read_json(made / "summary.json")))
    return read_jsonl(made / "queries.jsonl")


def generate_settings(config: GenerateConfig) -> dict[str, Any]:
    """What decides the queries: the config, but for how they are asked for, and hashes of prompts and local model."""
    asking = {"concurrency", "timeout", "tries", "backoff", "price_in", "price_out"}
    files = [source_digest(path) for path in (config.prompts, local_model(config.generator))]
    return config.model_dump(mode="json", exclude=asking) | {"files": files}


def write_queries(
    collection: Collection, generator: Generator, encoder: Encoder, config: GenerateConfig
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Have `generator` write queries for `config.passages` passages; rows of those that pass the sieve, and a summary.

    Where there are training queries, passages that answer a query of any split are left out, by their text: those of
    train have one already, and what dev and test are about stays out of training. Ids tell the wording:
    synthetic-000012-keywords.
    """
    splits = collection.qrels if collection.positives("train") else ()
    answers = {
        same_text(collection.passages[p].content)
        for split in splits
        for p in collection.answering(split)
    }
    open_ = np.array(
        [same_text(passage.content) not in answers for passage in collection.passages.values()],
        bool,
    )
    vectors = encoder.encode_passages([passage.content for passage in collection.passages.values()])
    rng = np.random.default_rng(config.seed)
    passages = [
        passage for passage, free in zip(collection.passages.values(), open_, strict=True) if free
    ]
    chosen = choose(passages, vectors[open_], config.passages, rng)
    sieve = QueryFilter(
        collection,
        searches_of(config, collection, encoder),
        config.round_trip,
        modelled=config.generator != OFFLINE,
        distinct=True,
    )
    rows: list[dict[str, str]] = []
    # By turns: every passage's first wording, then every passage's second, so that wordings are spread over passages.
    for turn in range(config.per_passage):
        styles = [config.styles[(at + turn) % len(config.styles)] for at in range(len(chosen))]
        briefs = [
            GenerationRequest(passage, style) for passage, style in zip(chosen, styles, strict=True)
        ]
        style_of = {brief.passage.id: brief.style for brief in briefs}
        for passage, text in first_good(briefs, generator, sieve).items():
            query = f"{PREFIX}{len(rows):06}-{style_of[passage]}"
            rows.append({"query_id": query, "text": text, "passage_id": passage})
    summary = {
        "generator": generator.name,
        "passages": len(collection.passages),
        "chosen": len(chosen),
        "queries": len(rows),
        "sieve": sieve.to_json(),
    }
    return rows, summary


def _line(summary: dict[str, Any]) -> str:
    """How the writing went, in a line."""
    if not summary["chosen"]:
        return "no queries are written: every passage answers a query, or says too little to write one for"
    dropped = ", ".join(
        f"{n:,} {reason.replace('_', ' ')}" for reason, n in summary["sieve"]["turned_down"].items()
    )
    return (
        f"{summary['queries']:,} queries for {summary['chosen']:,} of {summary['passages']:,} passages"
        f"{f'; turned down: {dropped}' if dropped else ''}"
    )


def choose(
    passages: Sequence[Passage], vectors: Vectors, count: int, rng: np.random.Generator
) -> list[Passage]:
    """Up to `count` passages from all over the corpus: one of each cluster of vectors by turns, drawn at random.

    Passages of fewer than FEWEST_TERMS terms, and all but the first of those that read the same, are not eligible.
    """
    seen: set[str] = set()
    able = []
    for at, passage in enumerate(passages):
        text = same_text(passage.content)
        if text not in seen and len(terms(passage.content)) >= FEWEST_TERMS:
            able.append(at)
        seen.add(text)
    if len(able) <= count:
        return [passages[at] for at in able]
    cluster = _clusters(vectors[able], min(CLUSTERS, count), int(rng.integers(2**31)))
    order = rng.permutation(len(able))
    turns = np.zeros(len(able), np.int64)
    taken: dict[int, int] = {}
    for at in order.tolist():
        turns[at] = taken[cluster[at]] = taken.get(int(cluster[at]), -1) + 1
    drawn = sorted(order.tolist(), key=lambda at: turns[at])[:count]
    return [passages[able[at]] for at in sorted(drawn)]


def _clusters(vectors: Vectors, count: int, seed: int) -> Int64[np.ndarray, " doc"]:
    from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]

    clusters: Any = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=2048)
    return np.asarray(clusters.fit_predict(vectors), np.int64)


def searches_of(config: GenerateConfig, collection: Collection, encoder: Encoder) -> list[Search]:
    """The searches of the round trip."""
    texts = [passage.content for passage in collection.passages.values()]
    vectors = cache(lambda: encoder.encode_passages(texts))  # only where the base model is asked

    def base(queries: Sequence[str], k: int) -> Hits:
        return top_k(encoder.encode_queries(list(queries)), vectors(), k)

    return [Bm25(texts).top_k if name == "bm25" else base for name in config.searches]
