"""What merging experts and the ONNX graph cost in nDCG@10, and how fast each form encodes.

    python benchmarks/ladder.py moe --sets nl2bash_a --seeds 13 --rows "experts, learned router"
    python benchmarks/moe_export.py --set nl2bash_a --passages 1000 --rounds 5

The model is one with two experts a layer, as the ladder trained it. Its forms are: the model as it
is, its experts merged in both ways, and the ONNX graphs of the model and of a merged one. Each form
is scored on the set's test queries, searched in the whole corpus. Then all forms encode the same
passages in one process, by turns, once a round, in chunks of equally many padded tokens. `dense` is
the base model. `speed` is the median over rounds of the experts' seconds divided by the form's:
above 1 is faster than the experts.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from ladder import DATA, RESULTS, machine
from onnxruntime import InferenceSession

from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.encoder.packing import CHUNK_TOKENS, chunks_of
from whet.encoder.tokens import Task, token_lengths, tokenise
from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.retrieve import retrieve
from whet.evaluate.significance import compare
from whet.export.merged import MAX_SAMPLED_PASSAGES
from whet.export.onnx import write_onnx
from whet.files import write_json
from whet.models import DEFAULT_MODEL, load_model
from whet.moe.merge import merge
from whet.records import Collection, Encoder, Vectors

RESULT = RESULTS / "moe_export.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default="nl2bash_a")
    parser.add_argument("--passages", type=int, default=1000, help="drawn at random, for the speed")
    parser.add_argument("--rounds", type=int, default=5)
    trained = "runs/ladder/nl2bash_a/experts,-learned-router-13/train/model"
    parser.add_argument("--model", type=Path, default=Path(trained), help="a model with experts")
    options = parser.parse_args()
    collection, _ = read(DATA / options.set)
    with tempfile.TemporaryDirectory() as folder:
        forms = every_form(collection, options.model, Path(folder))
        scores = score(collection, forms)
        seconds = race(collection, forms, options.passages, options.rounds)
    rows = {}
    for name in forms:
        costs = {
            "seconds": seconds[name],
            "speed": speed(seconds, name),
            "threads": torch.get_num_threads(),
        }
        rows[name] = scores[name] | costs
    result = {"about": __doc__, "machine": machine(), "set": options.set, "forms": rows}
    write_json(RESULT, result)
    for name, row in rows.items():
        change = "" if row["difference"] is None else f" ({100 * row['difference']:+.2f})"
        ndcg = f"{PRIMARY} {100 * row[PRIMARY]:.2f}{change}"
        print(f"{name}: {ndcg}, {row['speed']:.2f} times as fast as the experts")


def every_form(collection: Collection, trained: Path, folder: Path) -> dict[str, Encoder]:
    """Every form of the model, by name, ready to encode."""
    answers = list(collection.answering("train"))[:MAX_SAMPLED_PASSAGES]
    texts = [collection.passages[passage].content for passage in answers]
    experts = load_model(str(trained))
    dense = load_model(DEFAULT_MODEL)
    dense.max_seq_length = experts.max_seq_length
    average = merge(load_model(str(trained)), texts, "average")
    regression = merge(load_model(str(trained)), texts, "regression")
    return {
        "experts": PackedEncoder(experts),
        "merged by average": PackedEncoder(average),
        "merged by regression": PackedEncoder(regression),
        "experts, ONNX": OnnxEncoder(experts, folder / "experts"),
        "merged by regression, ONNX": OnnxEncoder(regression, folder / "merged"),
        "dense": PackedEncoder(dense),
    }


def score(collection: Collection, forms: dict[str, Encoder]) -> dict[str, dict[str, Any]]:
    """nDCG@10 of each form on the test queries; its difference to the experts', with interval."""
    qrels = collection.qrels["test"]
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    scores = {}
    for name, encoder in forms.items():
        ranking = retrieve(encoder, queries, passages)
        scores[name] = per_query(qrels, ranking, [PRIMARY])[PRIMARY]
    rows: dict[str, dict[str, Any]] = {}
    for name, values in scores.items():
        mean = float(np.mean(list(values.values())))
        rows[name] = {PRIMARY: mean, "difference": None, "interval": None}
        if name != "experts":
            comparison = compare(scores["experts"], values, np.random.default_rng(0))
            rows[name]["difference"] = comparison.difference
            rows[name]["interval"] = list(comparison.interval)
    return rows


def race(
    collection: Collection, forms: dict[str, Encoder], count: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each form and round, for the same passages."""
    texts = [passage.content for passage in collection.passages.values()]
    rows = np.random.default_rng(0).permutation(len(texts))[:count]
    drawn = [texts[row] for row in rows]
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    names = list(forms)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            forms[name].encode_passages(drawn)
            seconds[name].append(round(time.perf_counter() - started, 3))
    return seconds


def speed(seconds: dict[str, list[float]], name: str) -> float:
    both = zip(seconds["experts"], seconds[name], strict=True)
    return median(of_experts / of_form for of_experts, of_form in both)


class OnnxEncoder:
    """A graph behind the encoder's protocol, packed as PackedEncoder packs."""

    fingerprint = ""

    def __init__(self, model: Any, folder: Path) -> None:
        self.model = model
        graph = write_onnx(model, folder)
        self.session = InferenceSession(str(graph), providers=["CPUExecutionProvider"])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of queries: (doc, dim) float32."""
        return self._encode(texts, "query")

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages: (doc, dim) float32."""
        return self._encode(texts, "document")

    def _encode(self, texts: Sequence[str], task: Task) -> Vectors:
        lengths = torch.tensor(token_lengths(self.model, texts))
        lengths = lengths.clamp(max=self.model.max_seq_length)
        names = [graph_input.name for graph_input in self.session.get_inputs()]
        vectors = np.zeros((len(texts), self.model.get_embedding_dimension()), np.float32)
        for rows in chunks_of(lengths, CHUNK_TOKENS["cpu"]):
            chunk = [texts[row] for row in rows.tolist()]
            features = tokenise(self.model, chunk, task)
            inputs = {name: features[name].numpy() for name in names}
            (embeddings,) = self.session.run(["sentence_embedding"], inputs)
            vectors[rows.numpy()] = embeddings
        lengths_of_vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit_vectors: Vectors = vectors / lengths_of_vectors
        return unit_vectors


if __name__ == "__main__":
    main()
