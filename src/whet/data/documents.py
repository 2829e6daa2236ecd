"""Reads documents as sections under headings: plain text, Markdown, HTML, PDF and Word."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from whet.data.faults import Faults
from whet.stage_folder import LOCK

HEADING_TAG = re.compile(r"h([1-6])$")
LINE_BREAK_TAG = re.compile(r"<br\b", re.IGNORECASE)
BLANK_LINES = re.compile(r"\n\s*\n")
FRONT_MATTER = re.compile(r"---[ \t]*\n(\s*[\w-]+\s*:.*?)\n(---|\.\.\.)\s*\n", re.DOTALL)
"""YAML between rules at the top of a Markdown file. Without "key:" it is text between two rules."""
FRONT_MATTER_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
CELL_SEPARATOR = " | "

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
    "div",
    "section",
    "article",
    "main",
    "body",
]
"""HTML tags that begin a paragraph of their own."""

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
"""HTML tags whose content is not the document's text."""

CONTROLS = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters but tabs, line and page ends, and escape, which colours terminal output."""
MAX_CONTROL_SHARE = 0.01
"""A file with a larger share of control characters is no text."""


@dataclass(frozen=True, slots=True)
class Section:
    """The paragraphs under one heading, and the headings above them, the document's title first."""

    headings: tuple[str, ...]
    paragraphs: tuple[str, ...]


class Outline:
    """Collects paragraphs under the headings that they stand below."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._path: list[tuple[int, str]] = []  # (level, text) of the headings in force
        self._sections: list[tuple[tuple[str, ...], list[str]]] = []  # (headings, paragraphs)

    def set_title(self, text: str | None) -> None:
        """Take a title from the document; a blank one leaves the title as it is."""
        title = _one_line(text or "")
        if title:
            self.title = title

    def heading(self, level: int, text: str) -> None:
        """Begin a section; headings as deep as this one, or deeper, end."""
        name = _one_line(text)
        if name:
            self._path = [heading for heading in self._path if heading[0] < level]
            self._path.append((level, name))

    def paragraph(self, text: str) -> None:
        """Add a paragraph to the current section."""
        if not text.strip():
            return
        names = [self.title]
        names += [name for _, name in self._path]
        headings = tuple(dict.fromkeys(names))  # a title that is also a heading counts once
        if not self._sections or self._sections[-1][0] != headings:
            self._sections.append((headings, []))
        _, paragraphs = self._sections[-1]
        paragraphs.append(text.strip())

    def sections(self) -> list[Section]:
        """All sections that have text, in reading order."""
        return [Section(headings, tuple(paragraphs)) for headings, paragraphs in self._sections]


def document_files(folder: Path) -> list[Path]:
    """Every file below a folder that can be read, sorted; a file stands for itself.

    Files and folders whose name begins with a dot do not count, nor do runs of whet.
    """
    if folder.is_file():
        return [folder]
    paths = []
    for place, subfolders, names in os.walk(folder):
        here = Path(place)
        # os.walk descends into what remains in its list.
        subfolders[:] = [name for name in subfolders if not _is_passed_over(here / name)]
        for name in names:
            path = here / name
            is_hidden = name.startswith(".")
            if path.suffix.lower() in READERS and path.is_file() and not is_hidden:
                paths.append(path)
    return sorted(paths)


def _is_passed_over(folder: Path) -> bool:
    """Whether a folder is hidden or a run of whet."""
    return folder.name.startswith(".") or (folder / LOCK).exists()


def read_sections(path: Path, faults: Faults) -> list[Section]:
    """Sections of one document.

    A document that cannot be read, or holds no text, is a warning and has no sections.
    """
    file_title = path.stem.replace("_", " ").replace("-", " ")
    outline = Outline(file_title)
    reader = READERS[path.suffix.lower()]
    try:
        reader(path, outline)
    except Exception as error:  # noqa: BLE001 - three parsers and whatever users' files hold
        faults.warn(
            "unreadable",
            path,
            f"cannot be read ({type(error).__name__}: {error})",
            "Convert or delete it.",
        )
        return []
    sections = outline.sections()
    if not sections:
        faults.warn(
            "no-text",
            path,
            "holds no text that can be read",
            "Convert it (scanned pages need OCR).",
        )
    return sections


def _read_text(path: Path, outline: Outline) -> None:
    for paragraph in _paragraphs(_decoded(path)):
        outline.paragraph(paragraph)


def _read_markdown(path: Path, outline: Outline) -> None:
    """Headings, paragraphs, lists, tables and code of CommonMark.

    The document's title is that of its front matter or its first headline.
    """
    from markdown_it import MarkdownIt

    text = _without_front_matter(_decoded(path), outline)
    tag = ""  # of the block that was opened last
    has_headline = False
    cells: list[str] = []  # of the table row that is being read
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("heading_open", "th_open", "td_open", "paragraph_open"):
            tag = token.tag
        elif token.type == "inline":
            words = _inline_text(token)
            heading = HEADING_TAG.match(tag)
            if tag == "h1" and not has_headline:
                outline.title = words or outline.title
                has_headline = True
            elif heading:
                outline.heading(int(heading[1]), words)
            elif tag in ("th", "td"):
                cells.append(words)
            else:
                outline.paragraph(words or token.content)
        elif token.type == "tr_close":  # a table's row is one paragraph
            outline.paragraph(CELL_SEPARATOR.join(cells))
            cells.clear()
        elif token.type == "html_block":
            _add_html(token.content, outline)
        else:  # code blocks; other tokens have no content
            outline.paragraph(token.content)


def _without_front_matter(text: str, outline: Outline) -> str:
    """The text behind the front matter, whose title becomes the outline's."""
    front_matter = FRONT_MATTER.match(text)
    if not front_matter:
        return text
    title = FRONT_MATTER_TITLE.search(front_matter[1])
    if title:
        outline.title = title[1]
    return text[front_matter.end() :]


def _inline_text(token: Any) -> str:
    """The words of a Markdown paragraph, heading or cell, without its markup."""
    words = []
    for child in token.children:
        if child.type in ("text", "code_inline", "image"):
            words.append(child.content)
        elif LINE_BREAK_TAG.match(child.content) or child.type == "hardbreak":
            words.append("\n")
        elif child.type == "softbreak":
            words.append(" ")
    return "".join(words).strip()


def _read_html(path: Path, outline: Outline) -> None:
    _add_html(path.read_bytes(), outline)


def _add_html(source: str | bytes, outline: Outline) -> None:
    """Add headings and text of a page, without navigation, scripts and forms."""
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString

    page = BeautifulSoup(source, "html.parser")
    if page.title and page.title.get_text(strip=True):
        title = page.title.extract()
        outline.set_title(title.get_text())
    for tag in page(DROPPED):
        tag.decompose()
    for tag in page(["br", "hr"]):
        tag.replace_with("\n")

    # Comments and doctypes are subclasses of NavigableString, hence the exact type.
    strings = page.find_all(string=True)
    texts = [string for string in strings if type(string) is NavigableString]
    blocks_and_texts = [(text.find_parent(BLOCKS), text) for text in texts]
    # Strings in a row of the same block are one paragraph. Two blocks of equal content are equal
    # to bs4, hence the comparison by identity.
    for _, group in groupby(blocks_and_texts, key=lambda pair: id(pair[0])):
        run = list(group)
        block, _ = run[0]
        texts_of_block = [text for _, text in run]
        _add_html_block(block, texts_of_block, outline)


def _add_html_block(block: Any, texts: Sequence[Any], outline: Outline) -> None:
    """Add the strings of one block, as a heading or a paragraph; `block` is None for loose text."""
    name = "" if block is None else block.name
    text = "".join(texts)
    heading = HEADING_TAG.match(name)
    if heading:
        outline.heading(int(heading[1]), text)
    elif name == "tr":
        outline.paragraph(_row_text(texts))
    elif name == "pre":
        outline.paragraph(text)
    else:
        outline.paragraph(_one_line(text))


def _row_text(texts: Sequence[Any]) -> str:
    """The cells of a table row that are not empty, with CELL_SEPARATOR between."""
    cells = []
    for _, run in groupby(texts, key=lambda text: id(text.find_parent(["td", "th"]))):
        cell = _one_line("".join(run))
        if cell:
            cells.append(cell)
    return CELL_SEPARATOR.join(cells)


def _read_pdf(path: Path, outline: Outline) -> None:
    """Text of a PDF, page by page; the bookmarks of a page are the headings from there on."""
    from pypdf import PdfReader

    # pypdf warns of every oddity that it repairs.
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    reader = PdfReader(path)
    if reader.metadata:
        outline.set_title(reader.metadata.title)
    bookmarks: dict[int, list[tuple[int, str]]] = {}
    _collect_bookmarks(reader, reader.outline, 1, bookmarks)
    # A bookmark points to a page, not to a line: its heading holds from the top of the page.
    for page_number, page in enumerate(reader.pages):
        for level, name in bookmarks.get(page_number, ()):
            outline.heading(level, name)
        for paragraph in _paragraphs(page.extract_text()):
            outline.paragraph(paragraph)


def _collect_bookmarks(
    reader: Any,
    entries: Sequence[Any],
    level: int,
    bookmarks: dict[int, list[tuple[int, str]]],
) -> None:
    """Add to `bookmarks`, page number → (level, name) in order; a list in `entries` is nested."""
    for entry in entries:
        if isinstance(entry, list):
            _collect_bookmarks(reader, entry, level + 1, bookmarks)
            continue
        page_number = reader.get_destination_page_number(entry)
        if page_number is not None:
            bookmarks.setdefault(page_number, []).append((level, str(entry.title)))


def _read_docx(path: Path, outline: Outline) -> None:
    """Paragraphs and tables of a Word document, under its heading styles."""
    import docx
    from docx.table import Table

    document = docx.Document(str(path))
    outline.set_title(document.core_properties.title)
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                # Cells that are merged come once for each column that they cover.
                cells = dict.fromkeys(cell.text.strip() for cell in row.cells)
                outline.paragraph(CELL_SEPARATOR.join(cells))
            continue
        style = str(block.style.name) if block.style else ""
        level = style.removeprefix("Heading ")
        if style == "Title":
            outline.title = block.text.strip() or outline.title
        elif level != style and level.isdigit():
            outline.heading(int(level), block.text)
        else:
            outline.paragraph(block.text)


def _decoded(path: Path) -> str:
    """A file's text: UTF-8, UTF-16 with its byte-order mark, or else Windows-1252.

    Most old 8-bit files are Windows-1252. Raises ValueError for a file that is no text.
    """
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    control_count = len(CONTROLS.findall(text))
    if "\0" in text or control_count > MAX_CONTROL_SHARE * len(text):
        raise ValueError("it holds zero bytes or control characters, so it is no text")
    return text


def _one_line(text: str) -> str:
    """A text with a space for every run of white space."""
    return " ".join(text.split())


def _paragraphs(text: str) -> list[str]:
    """Split a text at blank lines and page ends."""
    text = text.replace("\r\n", "\n")
    text = text.replace("\f", "\n\n")
    paragraphs = BLANK_LINES.split(text)
    return [paragraph for paragraph in paragraphs if paragraph.strip()]


READERS: dict[str, Callable[[Path, Outline], None]] = {
    ".txt": _read_text,
    ".text": _read_text,
    ".rst": _read_text,
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
    ".docx": _read_docx,
}
"""How a file is read, by its suffix."""
