"""Did the experts of a trained model learn different things? Tokens are sent to the wrong expert, or all to one.

    python benchmarks/moe_apart.py runs/ladder/nl2bash_a/experts,-learned-router-13 --set nl2bash_a

For a run with two experts a layer: nDCG@10 on the set's test queries as trained, with every gate's two rows exchanged,
and with each expert alone; and how far each layer's experts moved from their parent, and from each other, as shares of
the parent's norm, with the cosine of their two moves.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.artifacts import write_json
from whet.data.read import read
from whet.encoder import PackedEncoder
from whet.models import DEFAULT_MODEL, load_model
from whet.moe.upcycle import expert_layers
from whet.train.dev import DevSet, ndcg_on


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--set", required=True)
    wanted = parser.parse_args()
    model, parent = load_model(str(wanted.run / "train" / "model")), load_model(DEFAULT_MODEL)
    model.max_seq_length = MAX_LENGTH
    found = {
        "about": __doc__,
        "machine": machine(),
        "set": wanted.set,
        "moves": moves(model, parent),
    }
    found["ndcg"] = routed(model, test_set(wanted.set))
    write_json(RESULTS / "moe_apart.json", found)
    print(found["ndcg"], *found["moves"].items(), sep="\n")


def test_set(name: str) -> DevSet:
    """The set's test queries and whole corpus."""
    collection, _ = read(DATA / name)
    queries = {query: collection.queries[query] for query in collection.positives("test")}
    passages = {passage.id: passage.content for passage in collection.passages.values()}
    return DevSet(queries, collection.qrels["test"], passages)


@torch.no_grad()
def moves(model: Any, parent: Any) -> dict[str, dict[str, Any]]:
    """For each layer with experts, how they moved."""
    dense, found = dict(parent.named_modules()), {}
    for name, layer in expert_layers(model).items():
        before = dense[name].weight
        one, other = (
            expert - (before if expert.shape == before.shape else before.T)
            for expert in layer.weight
        )
        found[name] = {
            "moved": [round(float(move.norm() / before.norm()), 4) for move in (one, other)],
            "apart": round(float((one - other).norm() / before.norm()), 4),
            "cosine": round(
                float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0)), 3
            ),
        }
    return found


@torch.no_grad()
def routed(model: Any, test: DevSet) -> dict[str, float]:
    """nDCG@10 × 100 of every way of sending tokens to the experts."""
    layers = list(expert_layers(model).values())
    found = {"as trained": score(model, test)}
    for layer in layers:
        layer.gate.copy_(layer.gate.flip(0))
    found["experts exchanged"] = score(model, test)
    trained = [(own, own.clone()) for layer in layers for own in (layer.weight, layer.bias)]
    for expert in (0, 1):
        for own, before in trained:
            own.copy_(before[expert].expand_as(before))
        found[f"expert {expert} alone"] = score(model, test)
    return found


def score(model: Any, test: DevSet) -> float:
    """nDCG@10 × 100."""
    return round(100 * ndcg_on(PackedEncoder(model), test), 2)


if __name__ == "__main__":
    main()
