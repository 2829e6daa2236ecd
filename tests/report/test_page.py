import re

from whet.report.contents import TrainingPoint
from whet.report.page import dev_chart, loss_chart, render_page, tradeoff_chart, write_page


def test_the_page_leads_with_the_verdict_and_shows_everything(make_report, outline, tmp_path):
    report = make_report()
    write_page(tmp_path / "report.html", report)
    page = outline((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.texts[3] == report.evaluation.summary_sentence
    assert page.texts[3].startswith("Better: nDCG@10 63.1 → 95.0 (+31.9, 95 % interval")
    headings = [
        "Better:",
        "Before and after",
        "What was done",
        "At a glance",
        "Gained most",
        "Lost most",
        "By kind of query",
        "The embedding space",
        "Gain and forgetting",
        "Teachers",
        "Mining",
        "Experts",
        "Warnings",
        "How it was measured",
        "Time",
        "Settings",
    ]
    places = [page.text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert page.tags.count("article") == 6  # five gains, one loss
    assert page.tags.count("figure") == 4


def test_the_page_shows_the_lines_of_every_table(make_report, outline):
    text = outline(render_page(make_report())).text
    for expected in (
        "19 / 1 / 0",
        "1,234",
        "train.epochs",
        "1 min 42 s",
        "Peak memory: 1,834 MB",
        "randomisation test",
        "rank of the first relevant passage: 2 → not found",
        "0.75 53.0 78.5 kept",
        "base 0.900 0.500 61.0 yes 1.00 –",
        "planned after steps 1,200, 2,400",
        "1,200 1,234 5,678 (pool) 97 % 60 % 0.500 12.3 % 50.0 61 s",
        "1,200 1,234 5,678 (pool) 97 % 60 % – 12.3 % – 61 s",
        "layer.0 0 20 % 39 % 30 % 0.50 ls",
    ):
        assert expected in text


def test_nothing_from_outside_becomes_markup_and_nothing_is_fetched(make_report, outline):
    page = render_page(make_report())
    parsed = outline(page)
    assert "script" not in parsed.tags
    assert parsed.attributes == []
    assert any("<script>alert('x')</script>" in text for text in parsed.texts)
    assert re.findall(r"(https?:)?//[a-z]", page) == []
    assert page == render_page(make_report())


def test_what_judged_is_named(make_report, outline):
    by_folds = outline(render_page(make_report(judge="cross-validation"))).text
    assert "nDCG@10 by cross-validation and on the forgetting check" in by_folds
    assert "interpolation weight cross-validation forgetting check" in by_folds
    assert "nDCG@10 on dev and on the forgetting check" in outline(render_page(make_report())).text


def test_a_page_of_the_evaluation_alone(bare_report, optional_headings):
    page = render_page(bare_report)
    assert "nDCG@10" in page
    for heading in optional_headings:
        assert heading not in page


def test_a_loss_of_one_part_is_drawn_once(make_report):
    losses = [{"loss": 2.0, "contrastive": 2.0, "penalty": 0.0}, {"loss": 1.0, "contrastive": 1.0}]
    training = [TrainingPoint(step, losses=parts) for step, parts in enumerate(losses)]
    assert loss_chart(make_report(training=training)).count("<polyline") == 1

    losses[0]["penalty"] = 0.5
    assert loss_chart(make_report(training=training)).count("<polyline") == 3


def test_a_single_dev_score_is_no_curve(make_report):
    base = TrainingPoint(0, dev=0.5)
    assert dev_chart(make_report(training=[base, TrainingPoint(10)])) == ""
    assert dev_chart(make_report(training=[base, TrainingPoint(10, dev=0.6)])) != ""


def test_the_tradeoff_is_drawn_where_weights_were_interpolated(make_report):
    assert tradeoff_chart(make_report()).count("<polyline") == 2
    assert tradeoff_chart(make_report(share=None)) == ""
