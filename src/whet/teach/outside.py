"""Teachers that compute elsewhere: scores from a file, and embeddings from a server.

The server is one that speaks OpenAI's protocol.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32

from whet.data.faults import Faults
from whet.data.files import table_rows
from whet.errors import ConfigError, raise_errors, require
from whet.files import digest, file_digest
from whet.records import Collection
from whet.search.vectors import normalised

COLUMNS = ("query_id", "passage_id", "score")
API_KEY_VARIABLE = "OPENAI_API_KEY"
SHOWN_CHARACTERS = 60  # of each text in an error

Scores: TypeAlias = Float32[np.ndarray, " pair"]


class FileTeacher:
    """Scores that were computed before, in a CSV, TSV, JSON-lines or Parquet file.

    The file has the columns COLUMNS and one row for each pair.
    """

    block = 65536

    def __init__(self, path: Path, collection: Collection) -> None:
        self.path = path
        self.name = path.name
        self.collection = collection

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file."""
        return digest("file", file_digest(self.path))

    def score(self, queries: Sequence[str], passages: Sequence[str]) -> Scores:
        """The file's scores; raises ConfigError when a pair is not in it."""
        pairs = list(zip(queries, passages, strict=True))
        missing = [pair for pair in pairs if pair not in self._scores]
        if missing:
            query, passage = missing[0]
            query = query[:SHOWN_CHARACTERS]
            passage = passage[:SHOWN_CHARACTERS]
            raise ConfigError(
                f"{self.path} has no score for {len(missing)} of {len(pairs)} pairs, "
                f"such as {query!r} with {passage!r}"
            )
        scores = [self._scores[pair] for pair in pairs]
        return np.array(scores, np.float32)

    @cached_property
    def _scores(self) -> dict[tuple[str, str], float]:
        """Texts of query and passage → score; raises DataError with every faulty row."""
        queries = self.collection.queries
        passages = self.collection.passages
        faults = Faults()
        scores = {}
        for where, row in table_rows(self.path, faults):
            missing = [name for name in COLUMNS if name not in row]
            if missing:
                faults.error(
                    "no-column",
                    where,
                    f"there is no {', '.join(missing)}",
                    f"Name the columns {', '.join(COLUMNS)}.",
                )
                break

            query_id = str(row["query_id"])
            passage_id = str(row["passage_id"])
            query = queries.get(query_id)
            passage = passages.get(passage_id)
            if query is None or passage is None:
                continue  # the file may hold scores of other texts, too

            try:
                scores[query, passage.content] = float(row["score"])
            except (TypeError, ValueError):
                faults.error(
                    "bad-score",
                    where,
                    f"score is {row['score']!r}, expected a number",
                    "Correct or delete the row.",
                )
        raise_errors(faults)
        return scores


class EndpointTeacher:
    """Embeddings from a server that speaks OpenAI's protocol, compared by cosine.

    Such servers are OpenAI, vLLM, Ollama and llama.cpp. The client reads the key from the
    environment variable API_KEY_VARIABLE, and whet stores it nowhere. A server may change its model
    without notice: the fingerprint covers the model's name and the address only.

    Args:
        model: the server's name for the model.
        url: the server's address up to /v1; by default OpenAI's, or OPENAI_BASE_URL.
        prompts: put before queries (`query`) and passages (`document`).
        batch_size: texts in one request.
    """

    block = 512

    def __init__(
        self,
        model: str,
        url: str | None = None,
        prompts: Mapping[str, str] | None = None,
        batch_size: int = 64,
    ) -> None:
        self.name = model
        self.model = model
        self.url = url
        self.prompts = dict(prompts or {})
        self.batch_size = batch_size

    @cached_property
    def fingerprint(self) -> str:
        """Hash of model name, address and prompts."""
        address = str(self._client.base_url)
        return digest("endpoint", self.model, address, self.prompts)

    @cached_property
    def _client(self) -> Any:
        openai = require("openai", "openai")
        # A server of one's own may need no key, but the client wants one.
        key = os.environ.get(API_KEY_VARIABLE, "none")
        return openai.OpenAI(base_url=self.url, api_key=key)

    def score(self, queries: Sequence[str], passages: Sequence[str]) -> Scores:
        """Cosine of each query with the passage of the same place.

        Raises ConfigError when the server gives another number of embeddings than it got texts.
        """
        query_vectors = self._embed(queries, "query")
        passage_vectors = self._embed(passages, "document")
        products = query_vectors * passage_vectors
        cosines: Scores = products.sum(axis=1, dtype=np.float32)
        return cosines

    def _embed(self, texts: Sequence[str], task: str) -> Float32[np.ndarray, "text dim"]:
        """Vectors of unit length; each distinct text is sent once."""
        prompt = self.prompts.get(task, "")
        distinct = list(dict.fromkeys(texts))
        embeddings: list[list[float]] = []
        for start in range(0, len(distinct), self.batch_size):
            batch = distinct[start : start + self.batch_size]
            embeddings += self._request([prompt + text for text in batch])

        vectors = normalised(np.array(embeddings, np.float32))
        row_of = {text: row for row, text in enumerate(distinct)}
        rows = [row_of[text] for text in texts]
        return vectors[rows]

    def _request(self, inputs: list[str]) -> list[list[float]]:
        """Embeddings of one batch, in the order of its texts."""
        reply = self._client.embeddings.create(
            model=self.model,
            input=inputs,
            encoding_format="float",
        )
        if len(reply.data) != len(inputs):
            counts = f"{len(inputs)} texts were sent and {len(reply.data)} embeddings came back"
            raise ConfigError(f"{self.url}: {counts}")
        in_order = sorted(reply.data, key=lambda item: item.index)
        return [item.embedding for item in in_order]
