"""Teachers that work elsewhere: scores from a file, and embeddings from a server that speaks OpenAI's protocol."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from whet.artifacts import digest, file_digest
from whet.data.faults import Faults
from whet.data.files import table_rows
from whet.errors import ConfigError, raise_errors, require
from whet.records import Collection

COLUMNS = ("query_id", "passage_id", "score")
KEY = "OPENAI_API_KEY"


class FileTeacher:
    """Scores that somebody else has computed: a CSV, TSV, JSON-lines or Parquet file with COLUMNS, one row a pair."""

    block = 65536

    def __init__(self, path: Path, collection: Collection) -> None:
        self.path, self.name = path, path.name
        self.collection = collection

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file."""
        return digest("file", file_digest(self.path))

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """The file's scores; raises ConfigError when a pair is not in it."""
        found = [self._scores.get(pair) for pair in zip(queries, passages, strict=True)]
        if None in found:
            at = found.index(None)
            raise ConfigError(
                f"{self.path} has no score for {found.count(None)} of {len(found)} pairs, such as "
                f"{queries[at][:60]!r} with {passages[at][:60]!r}"
            )
        return np.array(found, np.float32)

    @cached_property
    def _scores(self) -> dict[tuple[str, str], float]:
        faults = Faults()
        scores = {}
        for where, row in table_rows(self.path, faults):
            missing = [name for name in COLUMNS if name not in row]
            if missing:
                faults.error(
                    "no-column",
                    where,
                    f"there is no {', '.join(missing)}",
                    f"Name the columns {COLUMNS}.",
                )
                break
            query, passage = str(row["query_id"]), str(row["passage_id"])
            if query not in self.collection.queries or passage not in self.collection.passages:
                continue  # scores of more texts than are asked for do no harm
            try:
                score = float(row["score"])
            except (TypeError, ValueError):
                faults.error(
                    "bad-score",
                    where,
                    f"score is {row['score']!r}, expected a number",
                    "Mend or delete it.",
                )
                continue
            scores[self.collection.queries[query], self.collection.passages[passage].content] = (
                score
            )
        raise_errors(faults)
        return scores


class EndpointTeacher:
    """Embeddings from a server that speaks OpenAI's protocol (OpenAI, vLLM, Ollama, llama.cpp …), compared by cosine.

    The key is read from the environment variable KEY by the client and stored nowhere. A server may change
    its model without telling: the fingerprint is that of its name and address.

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
        self.name = self.model = model
        self.url, self.prompts, self.batch_size = url, dict(prompts or {}), batch_size

    @cached_property
    def fingerprint(self) -> str:
        """Hash of model name, address and prompts."""
        return digest("endpoint", self.model, str(self._client.base_url), self.prompts)

    @cached_property
    def _client(self) -> Any:
        import os

        openai = require("openai", "openai")
        return openai.OpenAI(base_url=self.url, api_key=os.environ.get(KEY, "none"))

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """Cosine of each query with the passage beside it."""
        left, right = self._embedded(queries, "query"), self._embedded(passages, "document")
        found: Float32[np.ndarray, " pair"] = (left * right).sum(axis=1, dtype=np.float32)
        return found

    def _embedded(self, texts: Sequence[str], task: str) -> Float32[np.ndarray, "pair dim"]:
        unique = list(dict.fromkeys(texts))
        found: list[list[float]] = []
        for start in range(0, len(unique), self.batch_size):
            asked = [
                self.prompts.get(task, "") + text
                for text in unique[start : start + self.batch_size]
            ]
            reply = self._client.embeddings.create(
                model=self.model, input=asked, encoding_format="float"
            )
            if len(reply.data) != len(asked):
                raise ConfigError(
                    f"{self.url}: {len(asked)} texts were sent and {len(reply.data)} embeddings came back"
                )
            found.extend(one.embedding for one in sorted(reply.data, key=lambda one: one.index))
        vectors = np.array(found, np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        row = {text: at for at, text in enumerate(unique)}
        return vectors[[row[text] for text in texts]]
