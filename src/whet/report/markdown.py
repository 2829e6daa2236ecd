"""The report as Markdown, for a repository or a model card."""

import re
from pathlib import Path

from whet.files import write_text
from whet.report.contents import ReportInput
from whet.report.page import render
from whet.templates import environment

MARKUP = re.compile(r"([\\`*_\[\]|#~])")  # characters that Markdown reads as markup


def write_markdown(path: Path, report: ReportInput) -> None:
    """Write the report as one Markdown file."""
    write_text(path, render_markdown(report))


def render_markdown(report: ReportInput) -> str:
    """Render the report as GitHub Markdown.

    Every value is escaped, and stays text on its line and in its cell.
    """
    templates = environment("whet.report", autoescape=False, finalize=as_text)
    return render(templates.get_template("report.md.j2"), report)


def as_text(value: object) -> str:
    r"""Escape what Markdown or HTML would read as markup, on one line.

    >>> print(as_text("a|b <i> *c*"))
    a\|b &lt;i> \*c\*
    """
    line = " ".join(str(value).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    return MARKUP.sub(r"\\\1", line)
