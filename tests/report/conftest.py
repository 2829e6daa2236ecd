"""A report with something in every section, and a reader of HTML that checks its tags."""

from html.parser import HTMLParser

import numpy as np
import pytest

from whet.evaluate.slices import query_rows, slice_rows
from whet.evaluate.space import Space
from whet.evaluate.verdict import assess
from whet.records import InterpolationPoint, LayerUse, Passage
from whet.report.contents import ReportInput, TrainingPoint
from whet.teach.quality import Quality
from whet.teach.summary import TeachSummary
from whet.train.refresh.round_log import RoundLog

HOSTILE = "<script>alert('x')</script> | *a* & \"b\"\nline two"
VOID_TAGS = {"meta", "line", "circle", "rect", "polyline"}


class Outline(HTMLParser):
    """Checks that every tag is closed, and keeps tags, texts and attributes that could run code."""

    def __init__(self, page):
        super().__init__()
        self.open = []
        self.tags = []
        self.attributes = []
        self.texts = []
        self.feed(page)
        self.close()
        assert self.open == []

    @property
    def text(self):
        return " ".join(self.texts)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "style") or name.startswith("on"):
                self.attributes.append(value)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(" ".join(data.split()))


@pytest.fixture(scope="session")
def outline():
    """Return the class: outline(html) has `tags`, `texts`, `text` and `attributes`."""
    return Outline


@pytest.fixture(scope="session")
def hostile():
    """A text with markup of HTML and Markdown, of two lines; it is in every part of a report."""
    return HOSTILE


def ranking_values():
    """Twenty queries; tuning lifts most positives from rank 2 to 1 and loses one."""
    queries = {f"q{n}": HOSTILE if n == 0 else f"query number {n}" for n in range(20)}
    texts = [HOSTILE, *(f"passage {n}" for n in range(1, 21))]
    passages = {f"p{n}": Passage(f"p{n}", text) for n, text in enumerate(texts)}
    qrels = {f"q{n}": {f"p{n}": 1} for n in range(20)}
    base = {f"q{n}": {f"p{n + 1}": 0.9, f"p{n}": 0.8} for n in range(20)}
    tuned = {f"q{n}": {f"p{n}": 0.9, f"p{n + 1}": 0.8} for n in range(19)} | {"q19": {"p0": 0.5}}
    rng = np.random.default_rng(0)
    rows = query_rows(queries, passages, qrels, base, tuned)
    return {
        "evaluation": assess(qrels, base, tuned, base, rng),
        "rows": rows,
        "passages": {passage.id: passage.content for passage in passages.values()},
        "slices": slice_rows(rows, rng),
    }


def training_point(step):
    """One expert's share rises from 0.2 by 0.01 a step; dev is scored at every fifth step."""
    share = 0.2 + step / 100
    return TrainingPoint(
        step=step,
        losses={"loss": 2 / (step + 1)},
        expert_shares={"layer.0/0": share, "layer.0/1": 1 - share},
        dev=0.5 + step / 100 if step % 5 == 0 else None,
    )


def round_log(score):
    return RoundLog(
        round=1,
        mined_at=1200,
        epoch=1.0,
        cost="pool",
        queries=20,
        dev=score,
        threads=1,
        boundaries=(1200, 2400),
        encoded=5678,
        recall=0.97,
        candidates=100,
        taken={"ance": 20},
        left_over=80,
        dropped={},
        short=0,
        mean_negative_score=score,
        mean_positive_score=0.9,
        positives=20,
        positives_found=20,
        mean_positive_rank=1.5,
        suspected_share=0.123,
        seconds=61.3,
        used_from=1234,
        new_queries=0,
        overlap=0.4,
    )


@pytest.fixture(scope="session")
def make_report():
    """Return a function that makes a ReportInput; keywords replace its values."""
    values = ranking_values() | {
        "data": HOSTILE,
        "model": "all-MiniLM-L6-v2",
        "training": [training_point(step) for step in range(20)],
        "experts": [LayerUse("layer.0", (0.3, 0.7), 0.5, (("ls", HOSTILE), ("find",)))],
        "spaces": {
            "base": Space(0.1, 0.2, -3.0, 0.9, 0.8),
            "tuned": Space(0.05, 0.1, -3.5, 0.95, 0.85),
        },
        "teaching": TeachSummary(
            pairs=9,
            teachers={name: Quality(0.9, 0.5, 0.61) for name in ("base", HOSTILE)},
            left_out=(HOSTILE,),
            agreement=((1.0, float("nan")), (float("nan"), 1.0)),
        ),
        "tradeoff": [InterpolationPoint(n / 4, 0.5 + n / 100, 0.8 - n / 200) for n in range(5)],
        "share": 0.75,
        "account": ["Trained on 20 pairs.", HOSTILE],
        "mining": {"taken as negatives": 1234, HOSTILE: 1},
        "refreshes": [round_log(0.5), round_log(None)],
        "warnings": [HOSTILE],
        "config": {"train": {"epochs": 2, "note": HOSTILE}},
        "seconds": {"mine": 7.34, "train": 95.0},
        "peak_memory_mb": 1834.2,
    }

    def make(**changes):
        return ReportInput(**values | changes)

    return make


@pytest.fixture(scope="session")
def bare_report(make_report):
    """A report of the evaluation alone."""
    return make_report(
        slices=(),
        training=(),
        experts=(),
        spaces={},
        teaching=None,
        tradeoff=(),
        share=None,
        account=(),
        mining={},
        refreshes=(),
        warnings=(),
        config={},
        seconds={},
        peak_memory_mb=None,
    )


@pytest.fixture(scope="session")
def optional_headings():
    """Headings of sections that a report of the evaluation alone does not have."""
    return (
        "What was done",
        "By kind of query",
        "The embedding space",
        "Gain and forgetting",
        "Teachers",
        "Mining",
        "Experts",
        "Warnings",
        "Settings",
        "Training loss",
    )
