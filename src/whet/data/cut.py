"""Cuts documents into passages: at headings, then paragraphs, lines, sentences and words.

A passage's title is the path of headings down to it, so that a passage is understood by itself.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whet.data.documents import Section, document_files, read_sections
from whet.data.faults import Faults
from whet.data.split import same_text
from whet.progress import Bar
from whet.records import Collection, Passage

Lengths = Callable[[Sequence[str]], Sequence[int]]
"""Texts → how long each is, in the tokens of the model that will read them."""

HEADING_SEPARATOR = " › "

AFTER_PARAGRAPHS = re.compile(r"\n\s*\n")
AFTER_LINES = re.compile(r"\n")
AFTER_SENTENCES = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
AFTER_WORDS = re.compile(r"\s+")
CUTS = (AFTER_PARAGRAPHS, AFTER_LINES, AFTER_SENTENCES, AFTER_WORDS)
"""Where a text may be cut, coarsest first."""


@dataclass(frozen=True, slots=True)
class Cutter:
    """How long a passage may be.

    `tokens`, counted by `lengths`, include its title and the model's special tokens.
    """

    lengths: Lengths
    tokens: int


def read_documents(folder: Path, cutter: Cutter, faults: Faults) -> Collection:
    """Every document below a folder as passages, without queries.

    The ids are PATH#N, where N counts a document's passages. A passage whose text is in an earlier
    document too (a licence, a page header) is left out. A file that cannot be read is a warning;
    if no document has text, that is an error.
    """
    files = document_files(folder)
    passages: dict[str, Passage] = {}
    documents: dict[str, str] = {}
    first_document: dict[str, str] = {}  # text without case and spacing → document
    with Bar("read documents", len(files)) as bar:
        for path in files:
            document = path.name
            if path != folder:
                document = path.relative_to(folder).as_posix()
            number = 0
            sections = read_sections(path, faults)
            for title, text in _passages_of(sections, cutter):
                first = first_document.setdefault(same_text(text), document)
                if first != document:
                    continue
                number += 1
                key = f"{document}#{number}"
                passages[key] = Passage(key, text, title)
                documents[key] = document
            bar.advance(1)
    if not passages:
        faults.error(
            "no-text",
            folder,
            "no document in it holds any text",
            "Give a folder with readable documents.",
        )
    resolved = folder.resolve()
    name = resolved.name if folder.is_dir() else resolved.stem
    return Collection(name, passages, {}, {}, documents=documents)


def _passages_of(sections: Sequence[Section], cutter: Cutter) -> Iterator[tuple[str, str]]:
    """(title, text) of every passage of one document."""
    titles = [HEADING_SEPARATOR.join(section.headings) for section in sections]
    # The length of "" is that of the model's special tokens. A title's length includes them.
    special_tokens, *title_lengths = cutter.lengths(["", *titles])

    def text_lengths(texts: Sequence[str]) -> list[int]:
        return [length - special_tokens for length in cutter.lengths(texts)]

    for section, title, title_length in zip(sections, titles, title_lengths, strict=True):
        # Beside a very long title the text still gets half of the tokens. The model then reads
        # less than all of it.
        beside_title = cutter.tokens - title_length
        room = max(beside_title, cutter.tokens // 2)
        text = "\n\n".join(section.paragraphs)
        for piece in pieces(text, room, text_lengths):
            yield title, piece


def pieces(
    text: str,
    room: int,
    lengths: Lengths,
    cuts: Sequence[re.Pattern[str]] = CUTS,
) -> list[str]:
    """Cut a text into pieces of at most `room`; what fits stays together.

    A piece ends at the coarsest of `cuts` that will do.

    >>> in_words = lambda texts: [len(text.split()) for text in texts]
    >>> pieces("one two. three four. five", 4, in_words)
    ['one two. three four.', 'five']
    >>> in_characters = lambda texts: [len(text) for text in texts]
    >>> pieces("東大寺は奈良にある。大仏が有名です。", 10, in_characters)
    ['東大寺は奈良にある。', '大仏が有名です。']
    """
    if not cuts:  # one long word, or a script without spaces
        return _cut_anywhere(text, room, lengths)
    coarsest, *finer = cuts
    # Fragments are joined again while they fit: words stay in sentences, these in paragraphs.
    fragments = _split_after(coarsest, text)
    joined = [""]  # pieces so far; the last one grows
    used = 0  # length of the last one
    for fragment, length in zip(fragments, lengths(fragments), strict=True):
        if used + length <= room:
            joined[-1] += fragment
            used += length
        elif length <= room:
            joined.append(fragment)
            used = length
        else:
            joined += pieces(fragment, room, lengths, finer)
            joined.append("")
            used = 0
    stripped = [piece.strip() for piece in joined]
    return [piece for piece in stripped if piece]


def _split_after(cut: re.Pattern[str], text: str) -> list[str]:
    """Split a text after each match of a pattern; parts of white space alone are left out.

    >>> _split_after(AFTER_SENTENCES, "One. Two.")
    ['One. ', 'Two.']
    """
    ends = [match.end() for match in cut.finditer(text)]
    ends.append(len(text))
    fragments = []
    start = 0
    for end in ends:
        fragment = text[start:end]
        if fragment.strip():
            fragments.append(fragment)
        start = end
    return fragments


def _cut_anywhere(text: str, room: int, lengths: Lengths) -> list[str]:
    """Halve a text until each part fits or is one character."""
    if len(text) < 2:
        return [text]
    (length,) = lengths([text])
    if length <= room:
        return [text]
    middle = len(text) // 2
    before = _cut_anywhere(text[:middle], room, lengths)
    after = _cut_anywhere(text[middle:], room, lengths)
    return before + after
