"""Losses: pure tensor functions with paper and equation, and modules for sentence-transformers.

>>> from whet.losses import ContrastivePenaltyLoss, InfoNCELoss
"""

from whet.losses.clp import clp
from whet.losses.infonce import info_nce
from whet.losses.objectives import ContrastivePenalty, InfoNCE, SoftLabels
from whet.losses.parts import LossParts
from whet.losses.relations import Relations
from whet.losses.retrieval import (
    CollatedLoss,
    ContrastivePenaltyLoss,
    InfoNCELoss,
    Packing,
    RetrievalLoss,
    SoftLabelLoss,
)
from whet.losses.soft import SoftPart

__all__ = [
    "CollatedLoss",
    "ContrastivePenalty",
    "ContrastivePenaltyLoss",
    "InfoNCE",
    "InfoNCELoss",
    "LossParts",
    "Packing",
    "Relations",
    "RetrievalLoss",
    "SoftLabelLoss",
    "SoftLabels",
    "SoftPart",
    "clp",
    "info_nce",
]
