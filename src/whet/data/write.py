"""Write a collection as a BEIR folder, the form that every retrieval tool reads."""

from pathlib import Path

from whet.errors import ConfigError
from whet.files import write_jsonl, write_text
from whet.records import Collection

QRELS_HEADER = "query-id\tcorpus-id\tscore\n"


def write_beir(collection: Collection, folder: Path) -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv.

    `whet.load` reads back the same passages, queries and grades.

    Raises ConfigError when the collection holds given negatives or their queries: BEIR has no
    place for them.
    """
    if collection.negatives or collection.positive_queries:
        unsupported = "negatives" if collection.negatives else "positive queries"
        raise ConfigError(
            f"{collection.name}: a BEIR folder cannot hold its {unsupported}; "
            "write JSONL with these columns instead"
        )
    passages = [
        {
            "_id": passage.id,
            "title": passage.title,
            "text": passage.text,
        }
        for passage in collection.passages.values()
    ]
    write_jsonl(folder / "corpus.jsonl", passages)

    queries = [{"_id": key, "text": text} for key, text in collection.queries.items()]
    write_jsonl(folder / "queries.jsonl", queries)

    for split, judgements in collection.qrels.items():
        lines = [QRELS_HEADER]
        for query, judged in judgements.items():
            for passage_id, grade in judged.items():
                line = f"{query}\t{passage_id}\t{grade}\n"
                lines.append(line)
        path = folder / "qrels" / f"{split}.tsv"
        write_text(path, "".join(lines))
