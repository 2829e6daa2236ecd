"""Do the experts of a trained model differ? Tokens are sent to the wrong expert, or all to one.

    python benchmarks/moe_apart.py runs/ladder/nl2bash_a/experts,-learned-router-13 --set nl2bash_a

For a run with two experts a layer, nDCG@10 on the set's test queries: as trained, with the two rows
of every gate exchanged, and with each expert alone. `moves` says how far each layer's experts moved
from their parent, and from each other, as shares of the parent's norm. `cosine` is that of the two
moves.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.files import write_json
from whet.models import DEFAULT_MODEL, load_model
from whet.moe.upcycle import expert_layers
from whet.train.dev import DevSet, ndcg_on


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--set", required=True)
    options = parser.parse_args()
    model = load_model(str(options.run / "train" / "model"))
    model.max_seq_length = MAX_LENGTH
    parent = load_model(DEFAULT_MODEL)
    result = {
        "about": __doc__,
        "machine": machine(),
        "set": options.set,
        "moves": moves(model, parent),
        "ndcg": routed(model, test_set(options.set)),
    }
    write_json(RESULTS / "moe_apart.json", result)
    print(result["ndcg"], *result["moves"].items(), sep="\n")


def test_set(name: str) -> DevSet:
    """The set's test queries and whole corpus."""
    collection, _ = read(DATA / name)
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    return DevSet(queries, collection.qrels["test"], passages)


@torch.no_grad()
def moves(model: Any, parent: Any) -> dict[str, dict[str, Any]]:
    """How the experts of each layer moved."""
    dense = dict(parent.named_modules())
    rows = {}
    for name, layer in expert_layers(model).items():
        before = dense[name].weight
        if layer.weight.shape[1:] != before.shape:  # some models keep this weight transposed
            before = before.T
        first, second = (expert - before for expert in layer.weight)
        norm = before.norm()
        moved = [round(float(move.norm() / norm), 4) for move in (first, second)]
        apart = (first - second).norm() / norm
        cosine = torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)
        rows[name] = {
            "moved": moved,
            "apart": round(float(apart), 4),
            "cosine": round(float(cosine), 3),
        }
    return rows


@torch.no_grad()
def routed(model: Any, test: DevSet) -> dict[str, float]:
    """nDCG@10 × 100 of every way of sending tokens to the experts."""
    layers = list(expert_layers(model).values())
    scores = {"as trained": score(model, test)}
    for layer in layers:
        layer.gate.copy_(layer.gate.flip(0))
    scores["experts exchanged"] = score(model, test)
    parameters = [layer.weight for layer in layers]
    parameters += [layer.bias for layer in layers if layer.bias is not None]
    trained = [parameter.clone() for parameter in parameters]
    for expert in (0, 1):
        for parameter, before in zip(parameters, trained, strict=True):
            parameter.copy_(before[expert].expand_as(before))
        scores[f"expert {expert} alone"] = score(model, test)
    return scores


def score(model: Any, test: DevSet) -> float:
    """nDCG@10 × 100."""
    ndcg = ndcg_on(PackedEncoder(model), test)
    return round(100 * ndcg, 2)


if __name__ == "__main__":
    main()
