import pytest
from jinja2 import UndefinedError

from whet.templates import environment


def test_templates_of_a_package_are_loaded():
    templates = environment("whet.report", autoescape=True)
    assert {"page.html.j2", "report.md.j2"} <= set(templates.list_templates())


@pytest.mark.parametrize(("autoescape", "text"), [(True, "&lt;b&gt;"), (False, "<b>")])
def test_html_is_escaped_where_it_is_asked_for(autoescape, text):
    template = environment("whet.report", autoescape=autoescape).from_string("{{ value }}")
    assert template.render(value="<b>") == text


def test_a_value_that_nobody_passed_is_an_error():
    template = environment("whet.report", autoescape=True).from_string("{{ missing }}")
    with pytest.raises(UndefinedError, match="missing"):
        template.render()


def test_lines_of_block_tags_leave_nothing_behind():
    source = "a\n  {% if true %}\nb\n  {% endif %}\nc\n"
    assert environment("whet.report", autoescape=False).from_string(source).render() == "a\nb\nc"
    templates = environment("whet.report", autoescape=False, keep_trailing_newline=True)
    assert templates.from_string(source).render() == "a\nb\nc\n"


def test_finalize_is_applied_to_each_value():
    templates = environment("whet.report", autoescape=False, finalize=str.upper)
    assert templates.from_string("a {{ value }}").render(value="b") == "a B"
