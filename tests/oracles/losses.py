"""The losses as their papers write them (CLP: arXiv 2412.17364, section 3).

Double loops over scalars, sets instead of masks, one cosine at a time.
"""

import torch


def cosine(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True)) / (length(left) * length(right))


def length(vector):
    return sum(a * a for a in vector) ** 0.5


def contrastive(query, positive, negatives, temperature):
    """-log( exp(sim(h, h+)/τ) / Σ over {h+} ∪ H' of exp(sim(h, h')/τ) )."""
    wanted = torch.exp(cosine(query, positive) / temperature)
    return -torch.log(
        wanted
        / (wanted + sum(torch.exp(cosine(query, other) / temperature) for other in negatives))
    )


def penalty(negatives, stars):
    """Mean over negatives h' with an h* of ( 1 - mean over h* of sim(h', h*) ), or 0."""
    gaps = []
    for negative, answered in zip(negatives, stars, strict=True):
        if answered:
            gaps.append(1 - sum(cosine(negative, star) for star in answered) / len(answered))
    return sum(gaps) / len(gaps) if gaps else torch.zeros((), dtype=torch.float64)


def clp(query, passage, star, relations, temperature, weight):
    """Mean over queries of ( (1-λ)·contrastive + λ·penalty ), its two parts apart."""
    held, drift = [], []
    for i, vector in enumerate(query):
        chosen = [j for j in range(len(passage)) if relations.negative[i, j]]
        negatives = [passage[j] for j in chosen]
        stars = [[star[s] for s in range(len(star)) if relations.answers[j, s]] for j in chosen]
        held.append(contrastive(vector, passage[relations.positive[i]], negatives, temperature))
        drift.append(penalty(negatives, stars))
    return (1 - weight) * sum(held) / len(held), weight * sum(drift) / len(drift)
