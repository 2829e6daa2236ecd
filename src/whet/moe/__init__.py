"""Mixture of Experts in an encoder's feed-forward layers (arXiv 2412.17364, section 3).

>>> from whet.moe import RoutedLoss, upcycle

Importing this package lets `SentenceTransformer(folder)` load models with experts without
`trust_remote_code`. Its settings are in `whet.train.moe_config`.
"""

from whet.moe.balance import RoutedLoss
from whet.moe.upcycle import upcycle

__all__ = ["RoutedLoss", "upcycle"]
