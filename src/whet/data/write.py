"""Write a collection as a BEIR folder, the form that every retrieval tool reads."""

from pathlib import Path

from whet.artifacts import write_jsonl, write_text
from whet.errors import ConfigError
from whet.records import Collection


def write_beir(collection: Collection, folder: Path) -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv; `whet.load` reads back the same passages, queries, grades.

    Raises ConfigError when the collection holds given negatives or their queries: BEIR has no place for them.
    """
    if collection.negatives or collection.positive_queries:
        held = "negatives" if collection.negatives else "positive queries"
        raise ConfigError(
            f"{collection.name}: a BEIR folder cannot hold its {held}; write JSONL with these columns instead"
        )
    passages = collection.passages.values()
    write_jsonl(
        folder / "corpus.jsonl", ({"_id": p.id, "title": p.title, "text": p.text} for p in passages)
    )
    write_jsonl(
        folder / "queries.jsonl",
        ({"_id": key, "text": text} for key, text in collection.queries.items()),
    )
    for split, judged in collection.qrels.items():
        rows = [
            f"{query}\t{passage}\t{grade}\n"
            for query, ps in judged.items()
            for passage, grade in ps.items()
        ]
        write_text(
            folder / "qrels" / f"{split}.tsv", "".join(["query-id\tcorpus-id\tscore\n", *rows])
        )
