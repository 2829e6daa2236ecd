import re

from whet.report.markdown import render_markdown, write_markdown


def test_markdown_keeps_hostile_text_in_its_cell(make_report, tmp_path):
    write_markdown(tmp_path / "report.md", make_report())
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text == render_markdown(make_report())
    assert text.splitlines()[2].startswith("**Better: nDCG@10")
    assert "<script" not in text
    assert r"&lt;script>alert('x')&lt;/script> \| \*a\* &amp; " in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(make_report):
    text = render_markdown(make_report())
    tables = [block for block in re.split(r"\n\n+", text) if block.startswith("|")]
    assert len(tables) == 12
    for table in tables:
        bars = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(bars)) == 1, table


def test_what_judged_is_named(make_report):
    on_dev = render_markdown(make_report())
    by_folds = render_markdown(make_report(judge="cross-validation"))
    assert "nDCG@10 on dev and on the forgetting check" in on_dev
    assert "nDCG@10 by cross-validation and on the forgetting check" in by_folds
    assert "| interpolation weight | cross-validation | forgetting check | |" in by_folds


def test_a_report_of_the_evaluation_alone(bare_report, optional_headings):
    text = render_markdown(bare_report)
    assert "nDCG@10" in text
    for heading in optional_headings:
        assert heading not in text
