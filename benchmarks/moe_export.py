"""What merging experts and the ONNX graph cost in nDCG@10, and how fast each form encodes.

    python benchmarks/ladder.py moe --sets nl2bash_a --seeds 13 --rows "experts, learned router"
    python benchmarks/moe_export.py --set nl2bash_a --passages 1000 --rounds 5

Takes the model with two experts a layer that the ladder has trained, and scores the set's test queries over its whole
corpus with it as it is, with its experts merged both ways, and by the ONNX graphs of the first and of a merged one.
Speed is over the same passages in one process, every form once a round, by turns, in chunks of as many padded tokens;
`dense` is the base model. A ratio is the median over rounds of the seconds that the experts take by those that a form
takes: above 1 is faster than the experts.
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

from whet.artifacts import write_json
from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.encoder.packing import CHUNK_TOKENS, chunks_of
from whet.encoder.tokens import Task, token_lengths, tokenise
from whet.evaluate.measures import PRIMARY, per_query
from whet.evaluate.retrieve import retrieve
from whet.evaluate.significance import compare
from whet.export.merged import MAX_SAMPLED_PASSAGES
from whet.export.onnx import write_onnx
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
    wanted = parser.parse_args()
    collection = read(DATA / wanted.set)[0]
    with tempfile.TemporaryDirectory() as aside:
        forms = every_form(collection, wanted.model, Path(aside))
        scores = score(collection, forms)
        seconds = race(collection, forms, wanted.passages, wanted.rounds)
    found = {
        name: scores[name]
        | {
            "seconds": seconds[name],
            "speed": speed(seconds, name),
            "threads": torch.get_num_threads(),
        }
        for name in forms
    }
    write_json(RESULT, {"about": __doc__, "machine": machine(), "set": wanted.set, "forms": found})
    for name, row in found.items():
        lost = "" if row["difference"] is None else f" ({100 * row['difference']:+.2f})"
        print(
            f"{name}: {PRIMARY} {100 * row[PRIMARY]:.2f}{lost}, {row['speed']:.2f} times as fast as the experts"
        )


def every_form(collection: Collection, trained: Path, folder: Path) -> dict[str, Encoder]:
    """The same model as it is handed on: by name, ready to encode."""
    answers = dict.fromkeys(p for found in collection.positives("train").values() for p in found)
    texts = [collection.passages[passage].content for passage in answers][:MAX_SAMPLED_PASSAGES]
    experts, dense = load_model(str(trained)), load_model(DEFAULT_MODEL)
    dense.max_seq_length = experts.max_seq_length
    average, regression = (
        merge(load_model(str(trained)), texts, how) for how in ("average", "regression")
    )
    return {
        "experts": PackedEncoder(experts),
        "merged by average": PackedEncoder(average),
        "merged by regression": PackedEncoder(regression),
        "experts, ONNX": OnnxEncoder(experts, folder / "experts"),
        "merged by regression, ONNX": OnnxEncoder(regression, folder / "merged"),
        "dense": PackedEncoder(dense),
    }


def score(collection: Collection, forms: dict[str, Encoder]) -> dict[str, dict[str, Any]]:
    """nDCG@10 of each form on the test queries, and against the experts with its interval."""
    qrels = collection.qrels["test"]
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    found = {
        name: per_query(qrels, retrieve(encoder, queries, passages), [PRIMARY])[PRIMARY]
        for name, encoder in forms.items()
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, values in found.items():
        seen = (
            compare(found["experts"], values, np.random.default_rng(0))
            if name != "experts"
            else None
        )
        rows[name] = {
            PRIMARY: float(np.mean(list(values.values()))),
            "difference": seen and seen.difference,
            "interval": seen and list(seen.interval),
        }
    return rows


def race(
    collection: Collection, forms: dict[str, Encoder], count: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each form and round, for the same passages."""
    texts = [passage.content for passage in collection.passages.values()]
    drawn = [texts[place] for place in np.random.default_rng(0).permutation(len(texts))[:count]]
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    names = list(forms)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            forms[name].encode_passages(drawn)
            seconds[name].append(round(time.perf_counter() - began, 3))
    return seconds


def speed(seconds: dict[str, list[float]], name: str) -> float:
    return median(a / b for a, b in zip(seconds["experts"], seconds[name], strict=True))


class OnnxEncoder:
    """A graph behind the encoder's protocol, packed as PackedEncoder packs."""

    fingerprint = ""

    def __init__(self, model: Any, folder: Path) -> None:
        self.model = model
        self.session = InferenceSession(
            str(write_onnx(model, folder)), providers=["CPUExecutionProvider"]
        )

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of queries: (doc, dim) float32."""
        return self._encode(texts, "query")

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages: (doc, dim) float32."""
        return self._encode(texts, "document")

    def _encode(self, texts: Sequence[str], task: Task) -> Vectors:
        lengths = torch.tensor(token_lengths(self.model, texts)).clamp(
            max=self.model.max_seq_length
        )
        vectors = np.zeros((len(texts), self.model.get_embedding_dimension()), np.float32)
        for rows in chunks_of(lengths, CHUNK_TOKENS["cpu"]):
            features = tokenise(self.model, [texts[row] for row in rows.tolist()], task)
            given = {each.name: features[each.name].numpy() for each in self.session.get_inputs()}
            vectors[rows.numpy()] = self.session.run(["sentence_embedding"], given)[0]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
