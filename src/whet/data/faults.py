"""A list that gathers faults while a reader goes on reading."""

from whet.errors import Fault


class Faults(list[Fault]):
    """The faults found so far, in reading order.

    >>> faults = Faults()
    >>> faults.error("empty-text", "corpus.jsonl:3", "passage 'd3' is empty", "Write its text or delete the line.")
    >>> print(faults[0])
    corpus.jsonl:3: passage 'd3' is empty [empty-text] Cure: Write its text or delete the line.
    """

    def error(self, kind: str, where: object, message: str, cure: str) -> None:
        """Note something that must be cured before the data can be used."""
        self.append(Fault(kind, str(where), message, cure))

    def warn(self, kind: str, where: object, message: str, cure: str) -> None:
        """Note something that is probably not meant, but can be worked with."""
        self.append(Fault(kind, str(where), message, cure, "warning"))
