"""whet sharpens a text-embedding model on its user's own documents, and proves that it did.

>>> import whet
>>> sorted(whet.__all__)
['Collection', 'load', 'tune']
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Collection", "load", "tune"]

if TYPE_CHECKING:
    from whet.data.read import load
    from whet.pipeline import tune
    from whet.records import Collection

logging.getLogger("whet").addHandler(logging.NullHandler())

_HOMES = {"Collection": "whet.records", "load": "whet.data.read", "tune": "whet.pipeline"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import whet` alone loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'whet' has no attribute {name!r}; it has {', '.join(__all__)}")
