"""Who uses which expert: shares, entropy and typical tokens, layer by layer, over some texts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whet.encoder.tokens import Features, is_padded, to_device, tokenise
from whet.moe.balance import by_layer, routes, shares
from whet.moe.upcycle import backbone, expert_layers
from whet.records import LayerUse

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS_PER_BATCH = 32
MAX_TYPICAL_TOKENS = 8  # shown for each expert
MIN_TOKEN_COUNT = 5  # a token that an expert gets less often is not typical of it
STARVING_SHARE = 0.1  # of an equal share


def starving(used: Sequence[LayerUse]) -> list[str]:
    """Say which experts get less than a tenth of an equal share, and what to do."""
    messages = []
    for layer in used:
        threshold = STARVING_SHARE / len(layer.share)
        for expert, share in enumerate(layer.share):
            if share >= threshold:
                continue
            messages.append(
                f"{layer.layer}: expert {expert} gets {share:.1%} of the tokens and learns next "
                "to nothing. Raise moe.balance_weight, or use fewer experts."
            )
    return messages


def passes(model: "SentenceTransformer", texts: Sequence[str]) -> Iterator[Features]:
    """Run passages through a model without gradients, in batches of like length.

    Yields the features of each batch after its forward pass.
    """
    by_length = sorted(texts, key=len)
    model.eval()
    for start in range(0, len(by_length), TEXTS_PER_BATCH):
        batch = by_length[start : start + TEXTS_PER_BATCH]
        features = to_device(tokenise(model, batch, "document"), model.device)
        with torch.inference_mode():
            model(dict(features))
        yield features


def expert_use(model: "SentenceTransformer", texts: Sequence[str]) -> list[LayerUse]:
    """Run passages through a model with experts and say which expert of each layer took what."""
    with routes(model) as collected:
        batches = [_real_tokens(features) for features in passes(model, texts)]
    tokens = torch.cat(batches)
    names = expert_layers(backbone(model))
    used = []
    for name, (logits, chosen) in zip(names, by_layer(collected), strict=True):
        first_choice = chosen[:, 0].cpu()
        typical_ids = typical(tokens, first_choice, logits.shape[1])
        to_words = model.tokenizer.convert_ids_to_tokens
        layer_use = LayerUse(
            layer=name,
            share=tuple(shares(logits, chosen).tolist()),
            entropy=_entropy(logits),
            tokens=tuple(tuple(to_words(ids)) for ids in typical_ids),
        )
        used.append(layer_use)
    return used


def _real_tokens(features: Features) -> Int[Tensor, " token"]:
    """The ids of a batch's tokens, in order, without padding."""
    ids: Tensor = features["input_ids"]
    if is_padded(features):
        ids = ids[features["attention_mask"] > 0]
    return ids.flatten().cpu()


def typical(
    tokens: Int[Tensor, " token"],
    expert: Int[Tensor, " token"],
    experts: int,
) -> list[list[int]]:
    """For each expert the token ids that set it apart most.

    They are ranked by p(token | expert) · log of its lift over p(token).

    >>> typical(torch.tensor([7] * 9 + [8] * 9 + [9]), torch.tensor([0] * 9 + [1] * 10), 2)
    [[7], [8]]
    """
    ids, place = torch.unique(tokens, return_inverse=True)
    count = torch.zeros(experts, len(ids))  # (expert, distinct token)
    count.index_put_((expert, place), torch.ones(len(place)), accumulate=True)
    rate = count / count.sum(dim=1, keepdim=True).clamp(min=1)
    overall_rate = count.sum(dim=0) / count.sum()
    lift = (rate / overall_rate).clamp(min=1e-9)
    gain = torch.where(count >= MIN_TOKEN_COUNT, rate * lift.log(), 0.0)
    best = gain.topk(min(MAX_TYPICAL_TOKENS, len(ids)), dim=1)
    typical_ids = []
    for columns, gains in zip(best.indices, best.values, strict=True):
        is_typical = gains > 0
        typical_ids.append(ids[columns[is_typical]].tolist())
    return typical_ids


def _entropy(logits: Float[Tensor, "token expert"]) -> float:
    """Mean entropy of the gate's probabilities, as a share of the highest there can be."""
    probability = logits.softmax(dim=1)
    log_probability = probability.clamp(min=1e-12).log()
    entropy = -(probability * log_probability).sum(dim=1).mean()
    highest = torch.tensor(float(logits.shape[1])).log()
    return float(entropy / highest)
