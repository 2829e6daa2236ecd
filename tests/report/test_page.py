import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from whet.evaluate.significance import Comparison
from whet.evaluate.slices import query_rows, slice_rows
from whet.evaluate.verdict import assess
from whet.records import Passage
from whet.report.contents import ReportInput, excerpt
from whet.report.markdown import render_markdown, write_markdown
from whet.report.page import render_page, write_page
from whet.report.plots import difference_chart, interval_mark, line_chart, thinned

HOSTILE = "<script>alert('x')</script> | *a* & \"b\"\nline two"
VOID = {"meta", "line", "circle", "rect", "polyline"}


class Outline(HTMLParser):
    """Checks that every tag is closed, and keeps headings, texts and tags."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [
            value
            for name, value in attrs
            if name in ("src", "href", "style") or name.startswith("on")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(" ".join(data.split()))


def report(**changes):
    """Twenty queries; tuning lifts most positives from rank 2 to 1 and loses one; the first query's text is hostile."""
    queries = {f"q{n}": HOSTILE if n == 0 else f"query number {n}" for n in range(20)}
    passages = {f"p{n}": Passage(f"p{n}", HOSTILE if n == 0 else f"passage {n}") for n in range(21)}
    qrels = {f"q{n}": {f"p{n}": 1} for n in range(20)}
    base = {f"q{n}": {f"p{n + 1}": 0.9, f"p{n}": 0.8} for n in range(20)}
    tuned = {f"q{n}": {f"p{n}": 0.9, f"p{n + 1}": 0.8} for n in range(19)} | {"q19": {"p0": 0.5}}
    rows = query_rows(queries, passages, qrels, base, tuned)
    rng = np.random.default_rng(0)
    settings = {
        "data": HOSTILE,
        "model": "all-MiniLM-L6-v2",
        "evaluation": assess(qrels, base, tuned, base, rng),
        "rows": rows,
        "passages": {passage.id: passage.content for passage in passages.values()},
        "slices": slice_rows(rows, rng),
        "training": [
            {"step": n, "loss": 2 / (n + 1), "dev": 0.5 + n / 100 if n % 5 == 0 else None}
            for n in range(20)
        ],
        "teaching": {
            "teachers": {
                name: {"auc": 0.9, "auprc": 0.5, "ndcg": 0.61} for name in ("base", HOSTILE)
            },
            "left_out": [HOSTILE],
            "agreement": [[1.0, None], [None, 1.0]],
        },
        "tradeoff": [
            {"share": n / 4, "dev": 0.5 + n / 100, "guard": 0.8 - n / 200} for n in range(5)
        ],
        "share": 0.75,
        "mining": {"taken as negatives": 1234, HOSTILE: 1},
        "refreshes": [
            {
                "mined_at": 1200,
                "used_from": 1234,
                "boundaries": [1200, 2400],
                "cost": "pool",
                "encoded": 5678,
                "recall": 0.97,
                "overlap": 0.4,
                "mean_negative_score": score,
                "suspected_share": 0.123,
                "dev": score,
                "seconds": 61.3,
            }
            for score in (0.5, None)
        ],
        "warnings": [HOSTILE],
        "config": {"train": {"epochs": 2, "note": HOSTILE}},
        "seconds": {"mine": 7.34, "train": 95.0},
        "peak_memory_mb": 1834.2,
    }
    return ReportInput(**settings | changes)


def test_what_judged_is_named_in_page_and_markdown():
    dev, folds = report(), report(judge="cross-validation")
    assert "nDCG@10 on dev, and on a general set" in render_markdown(dev)
    for told in (render_markdown(folds), " ".join(Outline(render_page(folds)).texts)):
        assert "nDCG@10 by cross-validation, and on a general set" in told
        assert "way from base" in told
    assert "| way from base | cross-validation | general set | |" in render_markdown(folds)


def test_the_page_leads_with_the_verdict_and_tells_everything(tmp_path):
    told = report()
    write_page(tmp_path / "report.html", told)
    page = Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
    texts = " ".join(page.texts)
    first_heading = page.texts[page.texts.index(told.evaluation.summary_sentence)]
    assert first_heading.startswith("Better: nDCG@10 63.1 → 95.0 (+31.9, 95 % interval")
    order = [
        "Better:",
        "Before and after",
        "Gained most",
        "Lost most",
        "By kind of query",
        "What was learned, and what was forgotten",
        "Teachers",
        "Mining",
        "Warnings",
        "Settings",
    ]
    places = [texts.index(heading) for heading in order]
    assert places == sorted(places)
    assert "rank of the first relevant passage: 2 → not found" in texts
    for expected in (
        "19 / 1 / 0",
        "1,234",
        "train.epochs",
        "1 min 42 s",
        "Peak memory: 1,834 MB",
        "randomisation test",
        "75% 53.0 78.5 kept",
        "base 0.900 0.500 61.0 yes 1.00 –",
        "planned after steps 1,200, 2,400",
        "1,200 1,234 5,678 (pool) 97 % 60 % 0.500 12.3 % 50.0 61 s",
        "1,200 1,234 5,678 (pool) 97 % 60 % – 12.3 % – 61 s",
    ):
        assert expected in texts
    assert page.tags.count("article") == 6  # five gains, one loss
    assert page.tags.count("figure") == 4


def test_nothing_from_outside_becomes_markup_and_nothing_is_fetched():
    page = render_page(report())
    outline = Outline(page)
    assert "script" not in outline.tags
    assert outline.attributes == []
    assert any("<script>alert('x')</script>" in text for text in outline.texts)
    assert re.findall(r"(https?:)?//[a-z]", page) == []
    assert page == render_page(report())


def test_markdown_keeps_hostile_text_in_its_cell(tmp_path):
    write_markdown(tmp_path / "report.md", report())
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text == render_markdown(report())
    assert "<script" not in text
    assert r"&lt;script>alert('x')&lt;/script> \| \*a\* &amp; " in text
    tables = [block for block in re.split(r"\n\n+", text) if block.startswith("|")]
    assert len(tables) == 10
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
    assert text.splitlines()[2].startswith("**Better: nDCG@10")


@pytest.mark.parametrize("render", [render_page, render_markdown])
def test_a_report_of_the_evaluation_alone(render):
    bare = report(
        slices=(),
        training=(),
        teaching={},
        tradeoff=(),
        share=None,
        mining={},
        refreshes=(),
        warnings=(),
        config={},
        seconds={},
        peak_memory_mb=None,
    )
    text = render(bare)
    for heading in (
        "Teachers",
        "forgotten",
        "Mining",
        "Warnings",
        "Settings",
        "By kind of query",
        "Training loss",
    ):
        assert heading not in text
    assert "nDCG@10" in text


def test_charts_stay_small_and_keep_their_ends():
    points = [(float(n), float(n % 7)) for n in range(10_000)]
    assert len(thinned(points)) == 240
    assert sum(y for _, y in thinned(points)) / 240 == pytest.approx(3.0, abs=0.05)
    assert thinned(points[:100]) == points[:100]
    assert len(line_chart({"loss": points}, "step", "loss")) < 8000
    assert len(difference_chart(list(np.random.default_rng(0).normal(0, 0.2, 5000)))) < 40_000
    assert line_chart({"loss": []}, "step", "loss") == ""
    assert difference_chart([]) == ""
    Outline(line_chart({"<b>": [(1.0, 2.0)], "flat": [(1.0, 2.0)]}, "step", "loss"))


def test_a_line_goes_where_its_numbers_say():
    chart = line_chart({"dev": [(0, 0.0), (50, 1.0), (100, 0.5)]}, "step", "dev")
    (path,) = re.findall(r'points="([^"]*)"', chart)
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in path.split()]
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 < y2 < y0  # SVG counts y downward
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.1)


def test_an_interval_is_green_or_red_only_where_the_verdict_is():
    sure = Comparison(0.05, (0.02, 0.08), 0.001, 30, 10, 60, 100)
    assert 'class="gain"' in interval_mark(sure, 0.1)
    assert 'class="unsure"' in interval_mark(replace(sure, p_value=0.06), 0.1)
    assert 'class="loss"' in interval_mark(
        replace(sure, difference=-0.05, interval=(-0.08, -0.02)), 0.1
    )
    assert 'cx="88.0"' in interval_mark(sure, 0.1)


def test_an_excerpt_is_cut_at_a_word():
    assert excerpt("word " * 100, limit=20) == "word word word …"
    assert excerpt("x" * 50, limit=20) == "x" * 19 + " …"
