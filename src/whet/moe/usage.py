"""Who uses which expert: shares, entropy and typical tokens, layer by layer, over some texts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whet.encoder.tokens import Features, is_padded, tokenise
from whet.moe.balance import by_layer, routes, shares
from whet.moe.upcycle import backbone, expert_layers
from whet.records import LayerUse

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH = 32
TYPICAL = 8  # tokens shown for each expert
SELDOM = 5  # a token seen less often than this is typical of nothing


def starving(used: Sequence[LayerUse]) -> list[str]:
    """Say which experts get less than a tenth of an equal share, and what to do."""
    return [
        f"{layer.layer}: expert {expert} gets {100 * share:.1f}% of the tokens and learns next to nothing. "
        "Raise moe.balance_weight, or use fewer experts."
        for layer in used
        for expert, share in enumerate(layer.share)
        if share < 0.1 / len(layer.share)
    ]


def passes(model: "SentenceTransformer", texts: Sequence[str]) -> Iterator[Features]:
    """Run passages through a model, in batches of like length, without gradients; yields what each batch was."""
    ordered = sorted(texts, key=len)
    model.eval()
    for start in range(0, len(ordered), BATCH):
        features = tokenise(model, ordered[start : start + BATCH], "document")
        features = {
            k: v.to(model.device) if isinstance(v, Tensor) else v for k, v in features.items()
        }
        with torch.inference_mode():
            model(dict(features))
        yield features


def expert_use(model: "SentenceTransformer", texts: Sequence[str]) -> list[LayerUse]:
    """Run passages through a model with experts and say, for each expert layer, who took what."""
    names = list(expert_layers(backbone(model)))
    with routes(model) as seen:
        ids = [_real_tokens(features) for features in passes(model, texts)]
    tokens = torch.cat(ids)
    return [
        LayerUse(
            layer=name,
            share=tuple(shares(logits, chosen).tolist()),
            entropy=_entropy(logits),
            tokens=tuple(
                tuple(model.tokenizer.convert_ids_to_tokens(found))
                for found in typical(tokens, chosen[:, 0].cpu(), logits.shape[1])
            ),
        )
        for name, (logits, chosen) in zip(names, by_layer(seen), strict=True)
    ]


def _real_tokens(features: Features) -> Int[Tensor, " token"]:
    ids: Tensor = (
        features["input_ids"][features["attention_mask"] > 0]
        if is_padded(features)
        else features["input_ids"]
    )
    return ids.flatten().cpu()


def typical(
    tokens: Int[Tensor, " token"], expert: Int[Tensor, " token"], experts: int
) -> list[list[int]]:
    """For each expert the token ids that tell it apart most: by p(token | expert) · log of its lift over p(token).

    >>> typical(torch.tensor([7] * 9 + [8] * 9 + [9]), torch.tensor([0] * 9 + [1] * 10), 2)
    [[7], [8]]
    """
    kinds, place = torch.unique(tokens, return_inverse=True)
    count = torch.zeros(experts, len(kinds)).index_put_(
        (expert, place), torch.ones(len(place)), accumulate=True
    )
    rate = count / count.sum(dim=1, keepdim=True).clamp(min=1)
    overall = count.sum(dim=0) / count.sum()
    gain = torch.where(count >= SELDOM, rate * (rate / overall).clamp(min=1e-9).log(), 0.0)
    best = gain.topk(min(TYPICAL, len(kinds)), dim=1)
    return [
        kinds[row[value > 0]].tolist() for row, value in zip(best.indices, best.values, strict=True)
    ]


def _entropy(logits: Float[Tensor, "token expert"]) -> float:
    probability = logits.softmax(dim=1)
    spread = -(probability * probability.clamp(min=1e-12).log()).sum(dim=1).mean()
    return float(spread / torch.tensor(float(logits.shape[1])).log())
