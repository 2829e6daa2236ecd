"""A list that gathers faults while a reader goes on reading."""

from whet.errors import Fault


class Faults(list[Fault]):
    """The faults so far, in reading order.

    >>> faults = Faults()
    >>> faults.error("empty-text", "corpus.jsonl:3", "passage 'd3' is empty", "Write its text.")
    >>> print(faults[0])
    corpus.jsonl:3: passage 'd3' is empty [empty-text] Cure: Write its text.
    """

    def error(
        self,
        kind: str,
        where: object,
        message: str,
        cure: str,
    ) -> None:
        """Add a fault that must be cured before the data can be used."""
        fault = Fault(kind, str(where), message, cure, "error")
        self.append(fault)

    def warn(
        self,
        kind: str,
        where: object,
        message: str,
        cure: str,
    ) -> None:
        """Add a fault that is probably a mistake, but leaves the data usable."""
        fault = Fault(kind, str(where), message, cure, "warning")
        self.append(fault)
