"""Small plots as inline SVG: drawn by hand, coloured by the page's style sheet, legible without it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from whet.evaluate.significance import Comparison
from whet.evaluate.verdict import verdict

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 30  # room for the axes
MOST_POINTS = 240

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from [low, high] to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixel of a value; the middle when low and high are one."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def line_chart(series: Mapping[str, Points], x_name: str, y_name: str) -> Markup:
    """Lines over a shared x axis, each named at its end; empty markup when there is nothing to draw."""
    drawn = {name: thinned(points) for name, points in series.items() if points}
    if not drawn:
        return Markup()
    xs, ys = zip(*(point for points in drawn.values() for point in points), strict=True)
    margin = 0.06 * (max(ys) - min(ys)) or 0.5
    x = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y = Scale(min(ys) - margin, max(ys) + margin, HEIGHT - BOTTOM, TOP)
    parts = [_frame(x, y, x_name, min(ys), max(ys))]
    for number, (name, points) in enumerate(drawn.items()):
        path = " ".join(f"{x(across)},{y(up)}" for across, up in points)
        parts.append(Markup('<polyline class="line line-{}" points="{}"/>').format(number, path))
        if len(points) <= 30:
            parts += [
                Markup('<circle class="dot dot-{}" cx="{}" cy="{}" r="2.5"/>').format(
                    number, x(a), y(u)
                )
                for a, u in points
            ]
        if len(drawn) > 1:
            place = Markup('<text class="name name-{}" x="{}" y="{}" text-anchor="end">{}</text>')
            parts.append(place.format(number, WIDTH - RIGHT, TOP + 8 + 14 * number, name))
    return _svg(WIDTH, HEIGHT, f"{y_name} over {x_name}", Markup().join(parts))


def difference_chart(differences: Sequence[float]) -> Markup:
    """Per-query differences from the largest gain to the largest loss, as an area about 0; queries on the x axis."""
    if not differences:
        return Markup()
    falling = sorted(differences, reverse=True)
    extent = max(abs(falling[0]), abs(falling[-1])) or 1.0
    x = Scale(0, len(falling), LEFT, WIDTH - RIGHT)
    y = Scale(-extent, extent, HEIGHT - BOTTOM, TOP)
    bars = [
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            "gain" if value > 0 else "loss",
            x(start),
            min(y(value), y(0)),
            round(x(end) - x(start), 1),
            abs(round(y(value) - y(0), 1)),
        )
        for start, end, value in _runs(falling)
        if value
    ]
    frame = _frame(x, y, "queries, by change", -extent, extent, scale=100)
    zero = Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        LEFT, WIDTH - RIGHT, y(0), y(0)
    )
    return _svg(WIDTH, HEIGHT, "Change of every query", Markup().join([frame, *bars, zero]))


def interval_mark(found: Comparison, extent: float) -> Markup:
    """Draw a dot with its interval between -extent and +extent; green or red only where the verdict is so."""
    x = Scale(-extent, extent, 4, 116)
    side = {"better": "gain", "worse": "loss", "not shown": "unsure"}[verdict(found)]
    body = Markup(
        '<line class="grid" x1="60" x2="60" y1="1" y2="15"/>'
        '<line class="whisker {side}" x1="{low}" x2="{high}" y1="8" y2="8"/>'
        '<circle class="{side}" cx="{middle}" cy="8" r="3.5"/>'
    ).format(
        side=side, low=x(found.interval[0]), high=x(found.interval[1]), middle=x(found.difference)
    )
    return _svg(120, 16, "difference and its interval", body)


def thinned(points: Points) -> Points:
    """Means of neighbouring points where there are too many to draw."""
    if len(points) <= MOST_POINTS:
        return points
    edges = [round(part * len(points) / MOST_POINTS) for part in range(MOST_POINTS + 1)]
    groups = [points[start:end] for start, end in pairwise(edges)]
    return [
        (sum(a for a, _ in group) / len(group), sum(u for _, u in group) / len(group))
        for group in groups
    ]


def _runs(falling: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Stretches of (nearly) equal values: start, end, value; keeps the drawing small for thousands of queries."""
    start = 0
    for end in range(1, len(falling) + 1):
        if end == len(falling) or round(falling[end], 2) != round(falling[start], 2):
            yield start, end, falling[start]
            start = end


def _frame(x: Scale, y: Scale, x_name: str, low: float, high: float, scale: float = 1) -> Markup:
    """Axis line, two values on each axis, the name of the x axis."""
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    grid = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    marks = [
        *(grid.format(LEFT, WIDTH - RIGHT, y(value), y(value)) for value in (low, high)),
        *(
            text.format(LEFT - 6, y(value) + 4, "end", f"{scale * value:.3g}")
            for value in (low, high)
        ),
        text.format(LEFT, HEIGHT - 8, "start", f"{x.low:.0f}"),
        text.format(WIDTH - RIGHT, HEIGHT - 8, "end", f"{x.high:.0f}"),
        text.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "middle", x_name),
    ]
    return Markup().join(marks)


def _svg(width: int, height: int, title: str, body: Markup) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img"><title>{}</title>')
    return head.format(width, height, width, height, title) + body + Markup("</svg>")
