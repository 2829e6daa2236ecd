"""The page in which a user marks the suspects of an audit, and which saves the marks as a file."""

from collections.abc import Mapping, Sequence

from whet.teach.audit import Suspect
from whet.templates import environment


def render_audit_page(
    data: str,
    suspects: Sequence[Suspect],
    answers: Mapping[str, str],
) -> str:
    """Render the page as HTML; every text is escaped.

    `data` is the name of the collection, `answers` is query id → a known answer.
    """
    templates = environment("whet.report", autoescape=True)
    page = templates.get_template("audit.html.j2")
    return page.render(data=data, suspects=suspects, answers=answers)
