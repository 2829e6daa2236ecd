"""The router losses against their formulas in plain numpy, and over a batch in chunks."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from architectures import bert_mean, build
from whet.encoder.tokens import tokenise
from whet.losses import InfoNCELoss, Packing
from whet.moe import upcycle
from whet.moe.balance import RoutedLoss, balance, by_layer, routes, shares, z_loss
from whet.moe.upcycle import backbone, expert_layers

TEXTS = [
    "bade bafi bago",
    "balu bade",
    "bago bago bago bafi balu bade bafi",
    "bafi",
    "bade bago balu",
    "balu balu",
]


@pytest.fixture
def model(tmp_path):
    return upcycle(build(bert_mean, tmp_path), experts=3)


def test_balance_and_z_loss_equal_their_formulas():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4))
    chosen = np.argsort(-logits, axis=1)[:, :2]
    share = np.array([(chosen == expert).mean() for expert in range(4)])
    probability = softmax(logits, axis=1).mean(axis=0)
    found = torch.tensor(logits), torch.tensor(chosen.copy())
    assert shares(*found).tolist() == pytest.approx(share.tolist())
    assert float(balance(*found)) == pytest.approx(4 * (share * probability).sum(), abs=1e-6)
    assert float(z_loss(found[0])) == pytest.approx(
        (logsumexp(logits, axis=1) ** 2).mean(), abs=1e-6
    )


def test_balance_is_1_for_equal_use_and_the_number_of_experts_when_one_takes_all():
    even = 30 * torch.eye(4)
    one = torch.tensor([[30.0, 0, 0, 0]]).expand(8, 4)
    assert float(balance(even, even.topk(1).indices)) == pytest.approx(1, abs=1e-5)
    assert float(balance(one, one.topk(1).indices)) == pytest.approx(4, abs=1e-5)


def test_padding_is_in_no_count(model):
    features = tokenise(model, TEXTS, "document")
    with routes(model) as seen, torch.no_grad():
        model(dict(features))
    for logits, chosen in by_layer(seen):
        assert (
            len(logits)
            == len(chosen)
            == int(features["attention_mask"].sum())
            < features["attention_mask"].numel()
        )


@pytest.mark.parametrize("graph_tokens", [None, 8])
def test_the_parts_and_their_gradients_do_not_depend_on_chunks(model, graph_tokens):
    features = [tokenise(model, TEXTS[:3], "query"), tokenise(model, TEXTS[3:], "document")]

    def gradients(packing):
        model.zero_grad()
        parts = RoutedLoss(model, InfoNCELoss(model, 0.05, packing=packing), 0.5, 0.5)(features)
        sum(parts.values()).backward()
        return parts, {
            name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
        }

    whole, expected = gradients(Packing())
    parts, found = gradients(Packing(chunk_tokens=8, graph_tokens=graph_tokens))
    assert sorted(parts) == ["balance", "contrastive", "z"]
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_balancing_spreads_the_tokens(model):
    features = tokenise(model, TEXTS * 4, "document")
    layers = list(expert_layers(backbone(model)).values())
    with torch.no_grad():
        for layer in layers:  # all to the first expert, to begin with
            layer.gate.zero_()
    gates = [layer.gate for layer in layers]
    optimizer = torch.optim.Adam(gates, lr=0.05)
    for _ in range(60):
        with routes(model) as seen:
            model(dict(features))
        loss = torch.stack([balance(*layer) for layer in by_layer(seen)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with routes(model) as seen, torch.no_grad():
        model(dict(features))
    assert max(float(shares(*layer).max()) for layer in by_layer(seen)) < 0.7


def test_a_loss_that_gives_one_number_becomes_a_part(model):
    class Plain(torch.nn.Module):
        def forward(self, features, labels):
            return model(dict(features[0]))["sentence_embedding"].square().mean()

    loss = RoutedLoss(model, Plain())
    assert sorted(loss([tokenise(model, TEXTS, "document")])) == ["balance", "task", "z"]
    use = loss.use()
    for layer in expert_layers(backbone(model)):
        assert sum(use[f"share/{layer}/{expert}"] for expert in range(3)) == pytest.approx(1)
    assert set(loss.use().values()) == {0.0}, "the count starts anew"
