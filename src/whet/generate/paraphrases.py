"""Other wordings of training queries, for data with few of them (arXiv 2408.11868 makes its pairs many in this way)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from whet.artifacts import read_json, read_jsonl, run_stage_locked, write_json, write_jsonl
from whet.data.read import content_fingerprint
from whet.encoder.packed import StoredEncoder
from whet.generate.config import GenerateConfig
from whet.generate.named import generator_of
from whet.generate.reply_store import spent_in
from whet.generate.query_filter import QueryFilter
from whet.generate.synthetic_queries import REPLIES, generate_settings, searches_of
from whet.progress import say
from whet.records import GenerationRequest, Collection, Generator


def with_paraphrases(
    collection: Collection,
    run: Path,
    encoder: StoredEncoder,
    config: GenerateConfig,
    *,
    yes: bool = False,
) -> Collection:
    """The collection with up to `config.paraphrases` other wordings of each training query, which answer as it does.

    The stage RUN/paraphrases. Dev and test queries are neither shown nor reworded. Raises ConfigError where a server's
    calls are not agreed to.
    """

    def write(folder: Path) -> None:
        passages = collection.passages.values()
        generator = generator_of(
            config, "paraphrases", passages, run / REPLIES, confirm=lambda question: yes
        )
        searches = searches_of(config, collection, encoder)
        sieve = QueryFilter(collection, searches, config.round_trip, modelled=True, distinct=True)
        found = reworded(collection, generator, sieve, config.paraphrases)
        rows = [
            {"query_id": query, "text": text} for query, texts in found.items() for text in texts
        ]
        write_jsonl(folder / "paraphrases.jsonl", rows)
        summary = {"generator": generator.name, "queries": len(rows), "sieve": sieve.to_json()}
        write_json(folder / "summary.json", summary | spent_in(run / REPLIES))

    inputs = {"data": content_fingerprint(collection), "model": encoder.fingerprint}
    made = run_stage_locked(
        run, "paraphrases", inputs=inputs, config=generate_settings(config), build=write
    ).path
    rows = read_jsonl(made / "paraphrases.jsonl")
    turned_down = sum(read_json(made / "summary.json")["sieve"]["turned_down"].values())
    say(
        f"{len(rows):,} other wordings of {len(collection.positives('train')):,} training queries; "
        f"{turned_down:,} turned down (paraphrases/summary.json says why)"
    )
    queries, train = dict(collection.queries), dict(collection.qrels["train"])
    for number, row in enumerate(rows, start=1):
        query = f"{row['query_id']}~{number}"
        queries[query], train[query] = row["text"], dict(collection.qrels["train"][row["query_id"]])
    return replace(collection, queries=queries, qrels={**collection.qrels, "train": train})


def is_paraphrase(query: str, collection: Collection) -> bool:
    """Whether a training query is another wording of one that was asked, by its id."""
    asked, tilde, number = query.rpartition("~")
    return bool(tilde) and number.isdigit() and asked in collection.qrels["train"]


def reworded(
    collection: Collection, generator: Generator, sieve: QueryFilter, count: int
) -> Mapping[str, list[str]]:
    """Training query → its other wordings that pass the sieve with the query's best passage."""
    first = {query: found[0] for query, found in collection.positives("train").items()}
    briefs = [
        GenerationRequest(
            collection.passages[passage], count=count, query=collection.queries[query]
        )
        for query, passage in first.items()
    ]
    tried: list[tuple[str, str]] = []
    for query, written in zip(first, generator.generate(briefs), strict=True):
        tried += [(query, text) for text in written.texts]
        if written.failure:
            sieve.failed(first[query], written.failure)
    passed = sieve.sift([(first[query], text) for query, text in tried])
    found: dict[str, list[str]] = {}
    for (query, text), good in zip(tried, passed, strict=True):
        if good:
            found.setdefault(query, []).append(text)
    return found
