"""Cuts documents into passages: along headings first, then paragraphs, sentences, and words where nothing else is left.

A passage's title is the way of headings down to it, so that a passage is understood by itself.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from whet.data.documents import Section, document_files, read_sections
from whet.data.faults import Faults
from whet.data.split import same_text
from whet.progress import Bar
from whet.records import Collection, Passage

Lengths = Callable[[Sequence[str]], Sequence[int]]
"""Texts → how long each is, in the tokens of the model that will read them."""

BETWEEN = " › "  # the headings of a title
ENDS = tuple(map(re.compile, (r"\n\s*\n", r"\n", r"(?<=[.!?…])\s+|(?<=[。！？])", r"\s+")))
"""Where a text may be cut, coarsest first: after paragraphs, lines, sentences, words."""


@dataclass(frozen=True, slots=True)
class Cutter:
    """How long a passage may be: `tokens` by `lengths`, its title and the model's special tokens included."""

    lengths: Lengths
    tokens: int


def read_documents(folder: Path, cutter: Cutter, faults: Faults) -> Collection:
    """Every document below a folder as passages, without queries; ids are PATH#N, N counting a document's passages.

    Passages whose text has stood in another document before (licences, headers) are left out. Files that cannot be
    read are warnings; that none can be is an error.
    """
    files, passages, home = document_files(folder), dict[str, Passage](), dict[str, str]()
    seen: dict[str, str] = {}
    with Bar("read documents", len(files)) as bar:
        for path in files:
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            number = 0
            for title, text in _cut(read_sections(path, faults), cutter):
                if seen.setdefault(same_text(text), name) != name:
                    continue
                number += 1
                passages[f"{name}#{number}"] = Passage(f"{name}#{number}", text, title)
                home[f"{name}#{number}"] = name
            bar.advance(1)
    if not passages:
        faults.error(
            "no-text",
            folder,
            "no document in it holds any text",
            "Give a folder with readable documents.",
        )
    whole = folder.resolve()
    return Collection(
        whole.name if folder.is_dir() else whole.stem, passages, {}, {}, documents=home
    )


def _cut(sections: Sequence[Section], cutter: Cutter) -> Iterator[tuple[str, str]]:
    """(title, text) of every passage of one document."""
    titles = [BETWEEN.join(section.headings) for section in sections]
    always, *used = cutter.lengths(["", *titles])
    for section, title, length in zip(sections, titles, used, strict=True):
        room = max(cutter.tokens - length, cutter.tokens // 2)
        for text in pieces(
            "\n\n".join(section.paragraphs),
            room,
            lambda texts: [n - always for n in cutter.lengths(texts)],
        ):
            yield title, text


def pieces(
    text: str, room: int, lengths: Lengths, ends: Sequence[re.Pattern[str]] = ENDS
) -> list[str]:
    """Cut a text into pieces of at most `room`, at the coarsest of ENDS that will do; what fits stays together.

    >>> pieces("one two. three four. five", 4, lambda texts: [len(text.split()) for text in texts])
    ['one two. three four.', 'five']
    >>> pieces("東大寺は奈良にある。大仏が有名です。", 10, lambda texts: [len(text) for text in texts])
    ['東大寺は奈良にある。', '大仏が有名です。']
    """
    if not ends:  # one long word, or a script without spaces
        return (
            [text] if len(text) < 2 or lengths([text])[0] <= room else _halves(text, room, lengths)
        )
    cuts = [0, *(found.end() for found in ends[0].finditer(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(cuts) if text[start:end].strip()]
    found, used = [""], 0
    for part, length in zip(parts, lengths(parts), strict=True):
        if used + length <= room:
            found[-1] += part
            used += length
        elif length <= room:
            found.append(part)
            used = length
        else:
            found += [*pieces(part, room, lengths, ends[1:]), ""]
            used = 0
    return [piece.strip() for piece in found if piece.strip()]


def _halves(text: str, room: int, lengths: Lengths) -> list[str]:
    middle = len(text) // 2
    return [*pieces(text[:middle], room, lengths, ()), *pieces(text[middle:], room, lengths, ())]
