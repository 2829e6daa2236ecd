"""Losses: pure tensor functions, each with its paper and equation, and thin sentence-transformers adapters.

>>> from whet.losses import ContrastivePenaltyLoss, InfoNCELoss
"""

from whet.losses.adapters import ContrastivePenaltyLoss, InfoNCELoss, SoftLabelLoss, SoftPart
from whet.losses.clp import clp
from whet.losses.infonce import info_nce
from whet.losses.relations import Relations

__all__ = [
    "ContrastivePenaltyLoss",
    "InfoNCELoss",
    "Relations",
    "SoftLabelLoss",
    "SoftPart",
    "clp",
    "info_nce",
]
