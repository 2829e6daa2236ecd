"""Training a mixture in pieces: recomputed, in chunks or on two machines it learns the same.

Proved: gradients under activation checkpointing are those without it, also when two batches with
different padding go forward before the first goes back. Chunks, kept or recomputed, give the
vectors and gradients of one forward. Two processes under DistributedDataParallel end with the same
weights where an expert starves on one of them or on both.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from architectures import FAMILIES, build
from tiny import WORDS
from whet.encoder.packed import embed
from whet.encoder.tokens import tokenise
from whet.moe import upcycle
from whet.moe.upcycle import backbone, expert_layers

SAME = {"rtol": 1e-4, "atol": 1e-5}

# The checkpointing of transformers' own MPNet fails.
WITH_CHECKPOINTING = [name for name in FAMILIES if name != "MPNet"]


def mixture(family, folder, **settings):
    """Experts that differ, and no dropout, though in training mode, where checkpointing works."""
    model = upcycle(build(FAMILIES[family], folder), **settings)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in expert_layers(backbone(model)).values():
            layer.weight.add_(torch.randn(layer.weight.shape, generator=generator), alpha=0.2)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model.train()


def batch(model, count, seed):
    """Features of texts of many lengths."""
    rng = np.random.default_rng(seed)
    lengths = [19, *rng.integers(1, 20, count - 1)]
    texts = [" ".join(rng.choice(WORDS, int(length))) for length in lengths]
    features = tokenise(model, texts, "document")
    assert (features["attention_mask"] == 0).any()
    return features


def gradients(model, vectors):
    """Those of a fixed linear function of the vectors; no gate and no expert may be without."""
    model.zero_grad()
    weight = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(1))
    (vectors * weight).sum().backward()
    for layer in expert_layers(backbone(model)).values():
        assert layer.leader[0].gate.grad.any()
        assert layer.weight.grad.any()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def two_batches(model):
    """Vectors of two batches of one size and different padding, forward one after the other."""
    first = batch(model, 8, seed=0)
    second = batch(model, 8, seed=1)
    assert first["attention_mask"].shape == second["attention_mask"].shape
    assert not torch.equal(first["attention_mask"], second["attention_mask"])
    return torch.cat([model(dict(features))["sentence_embedding"] for features in (first, second)])


def routed_in_backward(model, vectors):
    """Gradients, and how often layers route during the backward pass."""
    routed = []
    backbone(model).routing.listener = routed.append
    learned = gradients(model, vectors)
    backbone(model).routing.listener = None
    return learned, len(routed)


@pytest.mark.parametrize("family", WITH_CHECKPOINTING)
def test_checkpointing_sees_each_batch_s_own_padding(tmp_path, family):
    model = mixture(family, tmp_path)
    assert torch.equal(two_batches(model), two_batches(model)), "no dropout is left"
    expected, count = routed_in_backward(model, two_batches(model))
    assert count == 0
    backbone(model).activation_checkpointing_enable({"use_reentrant": False})
    learned, count = routed_in_backward(model, two_batches(model))
    assert count == 2 * len(expert_layers(backbone(model))), "nothing was computed again"
    torch.testing.assert_close(learned, expected, **SAME)
    backbone(model).activation_checkpointing_disable()
    assert routed_in_backward(model, two_batches(model))[1] == 0


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")
def test_checkpointing_by_its_old_name(tmp_path):
    model = mixture("Bert", tmp_path)
    expected = gradients(model, two_batches(model))
    backbone(model).gradient_checkpointing_enable(
        gradient_checkpointing_kwargs={"use_reentrant": False}
    )
    learned, count = routed_in_backward(model, two_batches(model))
    assert count == 4
    torch.testing.assert_close(learned, expected, **SAME)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("Bert", {}),
        ("Bert", {"top_k": 2, "experts": 3}),
        ("ModernBert", {"site": "output"}),
        ("Qwen3", {"top_k": 2}),
    ],
)
def test_chunks_learn_what_one_forward_does(tmp_path, family, settings):
    model = mixture(family, tmp_path, **settings)
    features = batch(model, 12, seed=2)
    plain = model(dict(features))["sentence_embedding"]
    expected = gradients(model, plain)
    for graph_tokens in (None, 1, 64):
        vectors = embed(model, features, chunk_tokens=48, graph_tokens=graph_tokens)
        torch.testing.assert_close(vectors, plain, **SAME)
        torch.testing.assert_close(gradients(model, vectors), expected, **SAME)


WORKER = """
import copy, datetime, itertools, os, sys
from pathlib import Path
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from whet.moe.modeling_whet_moe import ExpertLinear

into, rank = Path(sys.argv[1]), int(sys.argv[2])
distributed.init_process_group(
    "gloo",
    init_method=f"file://{into}/meet",
    rank=rank,
    world_size=2,
    timeout=datetime.timedelta(seconds=300),
)
# The experts that tokens go to, by case and rank.
TAKEN = {"one": ([0, 1], [0, 1, 2]), "both": ([0, 1], [1, 0]), "apart": ([0], [2])}

def inputs(taken, seed):
    tokens = 0.1 * torch.randn(12, 8, generator=torch.Generator().manual_seed(seed))
    tokens[torch.arange(12), torch.tensor(taken).repeat(12)[:12]] += 5
    return tokens

def train(model, batches):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in batches:
        (model(batch) - 1).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

ended = {}
for case, router, top_k in itertools.product(TAKEN, ("learned", "reference"), (1, 2)):
    torch.manual_seed(0)
    layer = ExpertLinear(8, 8, experts=3, top_k=top_k, router=router)
    with torch.no_grad():
        layer.gate.copy_(torch.eye(3, 8))  # a token goes to the expert whose place in it is large
    used = torch.zeros(3)

    def count(routed, used=used):
        used += torch.bincount(routed.chosen[:, 0], minlength=3)

    layer.routing.listener = count
    second = ExpertLinear(8, 4, experts=2, router=router)
    model = torch.nn.Sequential(layer, torch.nn.Tanh(), second)
    alone, started = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    data = []
    for step in range(4):
        data.append([inputs(taken, 10 * step + who) for who, taken in enumerate(TAKEN[case])])
    train(DistributedDataParallel(model), [both[rank] for both in data])
    train(alone, [torch.cat(both) for both in data])
    ended[f"{case} {router} {top_k}"] = (used, started, model.state_dict(), alone.state_dict())
torch.save(ended, into / f"{rank}.pt")
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(rank)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=500)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("router", ["learned", "reference"])
@pytest.mark.parametrize(
    ("case", "starving"),
    [("one", ([2], [])), ("both", ([2], [2])), ("apart", ([1, 2], [0, 1]))],
)
def test_two_processes_end_alike_though_experts_starve(ranks, case, starving, router, top_k):
    """DistributedDataParallel waits for every gradient; a starving expert's is 0, not absent."""
    (first, started, one, alone), (second, _, two, _) = (
        rank[f"{case} {router} {top_k}"] for rank in ranks
    )
    assert [(used == 0).nonzero().flatten().tolist() for used in (first, second)] == list(starving)
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    # `alone` is one process that sees both batches.
    torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-6)
    moved = (one["0.weight"] != started["0.weight"]).flatten(1).any(dim=1)
    if top_k == 1:
        assert moved.tolist() == [bool(count) for count in first + second]
    assert torch.equal(one["0.gate"], started["0.gate"]) == (router == "reference" and top_k == 1)
