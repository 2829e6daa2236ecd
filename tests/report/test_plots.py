import re
from dataclasses import replace

import numpy as np
import pytest

from whet.evaluate.significance import Comparison
from whet.report.plots import difference_chart, interval_mark, line_chart, thinned


def test_charts_stay_small_and_keep_their_ends():
    points = [(float(n), float(n % 7)) for n in range(10_000)]
    means = thinned(points)
    assert len(means) == 240
    assert sum(y for _, y in means) / 240 == pytest.approx(3.0, abs=0.05)
    assert thinned(points[:100]) == points[:100]
    assert len(line_chart({"loss": points}, "step", "loss")) < 8000
    differences = np.random.default_rng(0).normal(0, 0.2, 5000).tolist()
    assert len(difference_chart(differences)) < 40_000


def test_no_points_make_no_chart():
    assert line_chart({"loss": []}, "step", "loss") == ""
    assert difference_chart([]) == ""


def test_names_are_escaped_and_equal_values_are_drawn(outline):
    chart = line_chart({"<b>": [(1.0, 2.0)], "flat": [(1.0, 2.0)]}, "step", "loss")
    assert "b" not in outline(chart).tags


def test_a_line_goes_where_its_numbers_say():
    chart = line_chart({"dev": [(0, 0.0), (50, 1.0), (100, 0.5)]}, "step", "dev")
    (path,) = re.findall(r'points="([^"]*)"', chart)
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in path.split()]
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 < y2 < y0  # SVG counts y downward
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.1)


def test_queries_are_drawn_from_the_largest_gain_to_the_largest_loss():
    chart = difference_chart([0.0, -0.5, 1.0, 1.0])
    bars = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)
    (gain, gain_x, gain_width), (loss, loss_x, loss_width) = bars
    assert (gain, loss) == ("gain", "loss")
    assert float(gain_width) == pytest.approx(2 * float(loss_width), abs=0.2)
    # Three of four queries, those that gained and the unchanged one, are before the loss.
    assert float(loss_x) - float(gain_x) == pytest.approx(3 * float(loss_width), abs=0.2)


def test_an_interval_is_green_or_red_only_where_the_verdict_is():
    better = Comparison(0.05, (0.02, 0.08), 0.001, 30, 10, 60, 100)
    worse = replace(better, difference=-0.05, interval=(-0.08, -0.02))
    assert 'class="gain"' in interval_mark(better, 0.1)
    assert 'class="unsure"' in interval_mark(replace(better, p_value=0.06), 0.1)
    assert 'class="loss"' in interval_mark(worse, 0.1)
    assert 'cx="88.0"' in interval_mark(better, 0.1)
