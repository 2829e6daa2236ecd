"""Small plots as inline SVG. The page's style sheet colours them; they are legible without it.

Sizes and places are in pixels. SVG counts y downward, so a scale for y starts at the bottom.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from markupsafe import Markup

from whet.evaluate.significance import Comparison
from whet.evaluate.verdict import verdict

WIDTH = 460
HEIGHT = 190

# Edges of the drawing area. Around it is room for the axes.
LEFT_EDGE = 46
RIGHT_EDGE = WIDTH - 12
TOP_EDGE = 12
BOTTOM_EDGE = HEIGHT - 30
AXIS_TEXT_Y = HEIGHT - 8
LEGEND_LINE_HEIGHT = 14

MAX_CURVE_POINTS = 240
MAX_DOTS = 30  # a curve of more points has no dots

MARK_WIDTH = 120
MARK_HEIGHT = 16

SVG = Markup(
    '<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    "<title>{title}</title>{body}</svg>"
)
POLYLINE = Markup('<polyline class="line line-{number}" points="{path}"/>')
DOT = Markup('<circle class="dot dot-{number}" cx="{x}" cy="{y}" r="2.5"/>')
CURVE_NAME = Markup(
    '<text class="name name-{number}" x="{x}" y="{y}" text-anchor="end">{text}</text>'
)
HORIZONTAL_LINE = Markup('<line class="{style}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
AXIS_TEXT = Markup('<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>')
BAR = Markup('<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}"/>')
INTERVAL = Markup(
    '<line class="grid" x1="60" x2="60" y1="1" y2="15"/>'
    '<line class="whisker {style}" x1="{low}" x2="{high}" y1="8" y2="8"/>'
    '<circle class="{style}" cx="{middle}" cy="8" r="3.5"/>'
)
INTERVAL_STYLES = {"better": "gain", "worse": "loss", "not shown": "unsure"}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixel of a value; the middle where low and high are equal."""
        share = 0.5
        if self.high > self.low:
            share = (value - self.low) / (self.high - self.low)
        length = self.end - self.start
        return round(self.start + share * length, 1)


def line_chart(series: Mapping[str, Points], x_name: str, y_name: str) -> Markup:
    """Curves over a shared x axis, named if there are several; empty where there is no point."""
    curves = {name: thinned(points) for name, points in series.items() if points}
    if not curves:
        return Markup()
    every_point = list(chain.from_iterable(curves.values()))
    xs = [x for x, _ in every_point]
    ys = [y for _, y in every_point]
    lowest = min(ys)
    highest = max(ys)
    margin = 0.06 * (highest - lowest) or 0.5
    x_scale = Scale(min(xs), max(xs), LEFT_EDGE, RIGHT_EDGE)
    y_scale = Scale(lowest - margin, highest + margin, BOTTOM_EDGE, TOP_EDGE)

    shapes = _x_axis(x_scale, x_name)
    shapes += _y_marks(y_scale, lowest, highest)
    for number, (name, curve) in enumerate(curves.items()):
        shapes += _curve(number, curve, x_scale, y_scale)
        if len(curves) > 1:
            shapes.append(_curve_name(number, name))
    return _svg(WIDTH, HEIGHT, f"{y_name} over {x_name}", shapes)


def _curve(number: int, points: Points, x_scale: Scale, y_scale: Scale) -> list[Markup]:
    """One curve; `number` picks its colour."""
    places = []
    dots = []
    for x, y in points:
        pixel_x = x_scale(x)
        pixel_y = y_scale(y)
        places.append(f"{pixel_x},{pixel_y}")
        dots.append(DOT.format(number=number, x=pixel_x, y=pixel_y))
    curve = POLYLINE.format(number=number, path=" ".join(places))
    if len(points) > MAX_DOTS:
        return [curve]
    return [curve, *dots]


def _curve_name(number: int, name: str) -> Markup:
    """A line of the legend, at the top right."""
    y = TOP_EDGE + 8 + LEGEND_LINE_HEIGHT * number
    return CURVE_NAME.format(number=number, x=RIGHT_EDGE, y=y, text=name)


def difference_chart(differences: Sequence[float]) -> Markup:
    """Differences per query, from the largest gain to the largest loss, as an area about 0."""
    if not differences:
        return Markup()
    falling = sorted(differences, reverse=True)
    largest_gain = falling[0]
    largest_loss = falling[-1]
    extent = max(abs(largest_gain), abs(largest_loss)) or 1.0
    x_scale = Scale(0, len(falling), LEFT_EDGE, RIGHT_EDGE)
    y_scale = Scale(-extent, extent, BOTTOM_EDGE, TOP_EDGE)

    shapes = _x_axis(x_scale, "queries, by change")
    shapes += _y_marks(y_scale, -extent, extent, factor=100)
    for start, end, value in _runs(falling):
        if value:
            shapes.append(_bar(start, end, value, x_scale, y_scale))
    shapes.append(_horizontal_line("axis", y_scale(0)))
    return _svg(WIDTH, HEIGHT, "Change of every query", shapes)


def _bar(start: int, end: int, value: float, x_scale: Scale, y_scale: Scale) -> Markup:
    """The bar of the queries from `start` up to `end`, between 0 and the value."""
    left = x_scale(start)
    right = x_scale(end)
    y_of_value = y_scale(value)
    y_of_zero = y_scale(0)
    return BAR.format(
        style="gain" if value > 0 else "loss",
        x=left,
        y=min(y_of_value, y_of_zero),
        width=round(right - left, 1),
        height=abs(round(y_of_value - y_of_zero, 1)),
    )


def interval_mark(comparison: Comparison, extent: float) -> Markup:
    """Draw a dot with its interval between -extent and +extent.

    It is green or red only where the verdict is better or worse.
    """
    x_scale = Scale(-extent, extent, 4, MARK_WIDTH - 4)
    low, high = comparison.interval
    mark = INTERVAL.format(
        style=INTERVAL_STYLES[verdict(comparison)],
        low=x_scale(low),
        high=x_scale(high),
        middle=x_scale(comparison.difference),
    )
    return _svg(MARK_WIDTH, MARK_HEIGHT, "difference and its interval", [mark])


def thinned(points: Points) -> Points:
    """Means of neighbouring points where there are more than MAX_CURVE_POINTS."""
    if len(points) <= MAX_CURVE_POINTS:
        return points
    groups = range(MAX_CURVE_POINTS + 1)
    edges = [round(group * len(points) / MAX_CURVE_POINTS) for group in groups]
    return [_mean(points[start:end]) for start, end in pairwise(edges)]


def _mean(points: Points) -> tuple[float, float]:
    sum_x = 0.0
    sum_y = 0.0
    for x, y in points:
        sum_x += x
        sum_y += y
    count = len(points)
    return sum_x / count, sum_y / count


def _runs(falling: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Runs of values that are equal to two decimals: start, end, first value.

    One bar for each run keeps the drawing small with thousands of queries. Example:
    [0.5, 0.5, 0.1] gives (0, 2, 0.5) and (2, 3, 0.1).
    """
    rounded = [round(value, 2) for value in falling]
    start = 0
    for end in range(1, len(falling) + 1):
        if end == len(falling) or rounded[end] != rounded[start]:
            yield start, end, falling[start]
            start = end


def _x_axis(scale: Scale, name: str) -> list[Markup]:
    """Labels at both ends of the x axis, and its name between them."""
    middle = (LEFT_EDGE + RIGHT_EDGE) / 2
    return [
        _axis_text(LEFT_EDGE, AXIS_TEXT_Y, "start", f"{scale.low:.0f}"),
        _axis_text(RIGHT_EDGE, AXIS_TEXT_Y, "end", f"{scale.high:.0f}"),
        _axis_text(middle, AXIS_TEXT_Y, "middle", name),
    ]


def _y_marks(scale: Scale, low: float, high: float, factor: float = 1) -> list[Markup]:
    """Grid lines and labels at two values of y; labels are multiplied by `factor`."""
    shapes = []
    for value in (low, high):
        y = scale(value)
        label = f"{factor * value:.3g}"
        shapes.append(_horizontal_line("grid", y))
        shapes.append(_axis_text(LEFT_EDGE - 6, y + 4, "end", label))
    return shapes


def _axis_text(x: float, y: float, anchor: str, text: str) -> Markup:
    return AXIS_TEXT.format(x=x, y=y, anchor=anchor, text=text)


def _horizontal_line(style: str, y: float) -> Markup:
    return HORIZONTAL_LINE.format(
        style=style,
        left=LEFT_EDGE,
        right=RIGHT_EDGE,
        y=y,
    )


def _svg(width: int, height: int, title: str, shapes: Sequence[Markup]) -> Markup:
    return SVG.format(
        width=width,
        height=height,
        title=title,
        body=Markup().join(shapes),
    )
