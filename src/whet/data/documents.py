"""Documents as they lie in a folder: plain text, Markdown, HTML, PDF and Word, as sections under their headings."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from whet.artifacts import LOCK
from whet.data.faults import Faults

HEADING = re.compile(r"h([1-6])$")
BREAK = re.compile(r"<br\b", re.IGNORECASE)
BLOCKS = [
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "li",
    "pre",
    "dt",
    "dd",
    "tr",
    "blockquote",
    "figcaption",
    "caption",
]
BLOCKS += ["div", "section", "article", "main", "body"]
CELLS = " | "  # between the cells of a table's row
CONTROLS = re.compile(
    r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]"
)  # not tab, line or page ends, nor escape, which colours
MOST_CONTROLS = 0.01  # of a text's characters
DROPPED = (
    "script",
    "style",
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "noscript",
    "template",
    "svg",
)


@dataclass(frozen=True, slots=True)
class Section:
    """The paragraphs that stand under one heading, and the headings above them, the document's title first."""

    headings: tuple[str, ...]
    paragraphs: tuple[str, ...]


class Outline:
    """Collects paragraphs under the headings that are in force."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._path: list[tuple[int, str]] = []
        self._found: list[tuple[tuple[str, ...], list[str]]] = []

    def heading(self, level: int, text: str) -> None:
        """Begin a section; headings that were in force and are as deep, or deeper, end."""
        if text := " ".join(text.split()):
            self._path = [(above, name) for above, name in self._path if above < level] + [
                (level, text)
            ]

    def paragraph(self, text: str) -> None:
        """Add a paragraph to the section that is in force."""
        if not text.strip():
            return
        names = tuple(dict.fromkeys([self.title, *(name for _, name in self._path)]))
        if not self._found or self._found[-1][0] != names:
            self._found.append((names, []))
        self._found[-1][1].append(text.strip())

    def sections(self) -> list[Section]:
        """All sections that have text, in reading order."""
        return [Section(names, tuple(paragraphs)) for names, paragraphs in self._found]


def document_files(folder: Path) -> list[Path]:
    """Every file below a folder that can be read, sorted.

    Those whose name or folder begins with a dot do not count, nor do runs of whet. A file stands for itself.
    """
    if folder.is_file():
        return [folder]
    found = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not (here / name / LOCK).exists()
        ]
        found += [here / name for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in READERS and path.is_file())


def read_sections(path: Path, faults: Faults) -> list[Section]:
    """Sections of one document; one that cannot be read, or holds no text, is a warning, and has none."""
    outline = Outline(path.stem.replace("_", " ").replace("-", " "))
    try:
        READERS[path.suffix.lower()](path, outline)
    except Exception as error:  # noqa: BLE001 - three parsers and whatever users' files hold
        faults.warn(
            "unreadable",
            path,
            f"cannot be read ({type(error).__name__}: {error})",
            "Convert or delete it.",
        )
        return []
    if not (found := outline.sections()):
        faults.warn(
            "no-text",
            path,
            "holds no text that can be read",
            "Convert it (scanned pages need OCR).",
        )
    return found


def _text(path: Path, outline: Outline) -> None:
    for paragraph in _paragraphs(_decoded(path)):
        outline.paragraph(paragraph)


def _markdown(path: Path, outline: Outline) -> None:
    """Headings, paragraphs, lists, tables and code of CommonMark; a front matter's title is the document's."""
    from markdown_it import MarkdownIt

    text = _decoded(path)
    if front := re.match(
        r"---[ \t]*\n(\s*[\w-]+\s*:.*?)\n(---|\.\.\.)\s*\n", text, re.DOTALL
    ):  # not two rules
        text = text[front.end() :]
        if title := re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", front[1], re.MULTILINE):
            outline.title = title[1]
    opened, titled, cells = "", False, list[str]()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        words = _inline(token) if token.type == "inline" else ""
        if token.type in ("heading_open", "th_open", "td_open", "paragraph_open"):
            opened = token.tag
        elif token.type == "inline" and opened == "h1" and not titled:
            outline.title, titled = words or outline.title, True
        elif token.type == "inline" and (heading := HEADING.match(opened)):
            outline.heading(int(heading[1]), words)
        elif token.type == "inline" and opened in ("th", "td"):
            cells.append(words)
        elif token.type == "tr_close":
            outline.paragraph(CELLS.join(cells))
            cells.clear()
        elif token.type == "html_block":
            _html_blocks(token.content, outline)
        else:
            outline.paragraph(words or token.content)


def _inline(token: Any) -> str:
    kept = {
        "text": lambda one: one.content,
        "code_inline": lambda one: one.content,
        "image": lambda one: one.content,
    }
    breaks = {"softbreak": " ", "hardbreak": "\n"}
    return "".join(
        kept[one.type](one)
        if one.type in kept
        else "\n"
        if BREAK.match(one.content)
        else breaks.get(one.type, "")
        for one in token.children
    ).strip()


def _html(path: Path, outline: Outline) -> None:
    _html_blocks(path.read_bytes(), outline)


def _html_blocks(source: str | bytes, outline: Outline) -> None:
    """Headings and text of a page, without navigation, scripts and forms."""
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString

    page = BeautifulSoup(source, "html.parser")
    if page.title and page.title.get_text(strip=True):
        outline.title = " ".join(page.title.extract().get_text().split())
    for tag in page(DROPPED):
        tag.decompose()
    for tag in page(["br", "hr"]):
        tag.replace_with("\n")
    strings = [
        one for one in page.find_all(string=True) if type(one) is NavigableString
    ]  # no comments, no doctype
    for _, found in groupby(
        ((one.find_parent(BLOCKS), one) for one in strings), key=lambda pair: id(pair[0])
    ):
        (block, *_), words = zip(*found, strict=True)
        text = "".join(words)
        if block is not None and (heading := HEADING.match(block.name)):
            outline.heading(int(heading[1]), text)
        elif block is not None and block.name == "tr":
            cells = groupby(words, key=lambda word: id(word.find_parent(["td", "th"])))
            outline.paragraph(
                CELLS.join(cell for _, run in cells if (cell := " ".join("".join(run).split())))
            )
        else:
            outline.paragraph(
                text if block is not None and block.name == "pre" else " ".join(text.split())
            )


def _pdf(path: Path, outline: Outline) -> None:
    """Text of a PDF, page by page; the bookmarks that point to a page are the headings from there on."""
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every oddity that it repairs
    reader = PdfReader(path)
    if reader.metadata and (title := " ".join((reader.metadata.title or "").split())):
        outline.title = title
    marks = dict(_bookmarks(reader, reader.outline, 1))
    for number, page in enumerate(reader.pages):
        for level, name in marks.get(number, ()):
            outline.heading(level, name)
        for paragraph in _paragraphs(page.extract_text()):
            outline.paragraph(paragraph)


def _bookmarks(
    reader: Any, found: list[Any], level: int
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Page number → its bookmarks (level, name), in order."""
    pages: dict[int, list[tuple[int, str]]] = {}
    for entry in found:
        if isinstance(entry, list):
            for page, names in _bookmarks(reader, entry, level + 1):
                pages.setdefault(page, []).extend(names)
        elif (page := reader.get_destination_page_number(entry)) is not None:
            pages.setdefault(page, []).append((level, str(entry.title)))
    yield from pages.items()


def _docx(path: Path, outline: Outline) -> None:
    """Paragraphs and tables of a Word document, under its heading styles."""
    import docx
    from docx.table import Table

    document = docx.Document(str(path))
    if title := " ".join((document.core_properties.title or "").split()):
        outline.title = title
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                outline.paragraph(
                    CELLS.join(dict.fromkeys(cell.text.strip() for cell in row.cells))
                )
        elif (style := str(block.style.name if block.style else "")) == "Title":
            outline.title = block.text.strip() or outline.title
        elif style.startswith("Heading ") and style[8:].isdigit():
            outline.heading(int(style[8:]), block.text)
        else:
            outline.paragraph(block.text)


def _decoded(path: Path) -> str:
    """Text as UTF-8, or UTF-16 where it says so; old 8-bit files as Windows-1252, which holds most of them."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text or len(CONTROLS.findall(text)) > MOST_CONTROLS * len(text):
        raise ValueError("it holds zero bytes or control characters, so it is no text")
    return text


def _paragraphs(text: str) -> list[str]:
    return [
        part
        for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\f", "\n\n"))
        if part.strip()
    ]


READERS: dict[str, Callable[[Path, Outline], None]] = {
    ".txt": _text,
    ".text": _text,
    ".rst": _text,
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
