"""Pictures as SVG inside the page, with the colours of its style sheet."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from keras_dynamicgate.reports.markup import Markup, element

Point = tuple[float, float]

WIDTH = 360
LEFT, RIGHT = 44, 348
SERIES = 5


def histogram(
    values: np.ndarray, low: float, high: float, axis: str, summary: str, bins: int = 10
) -> Markup:
    """Draw a histogram of values, with the numbers above the bars.

    Args:
        values: Array of numbers.
        low: Number at which the first interval begins.
        high: Number at which the last interval ends.
        axis: What the values are.
        summary: What the picture shows, for readers who cannot see it.
        bins: Integer, the number of intervals. Defaults to 10.
    """
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    left, bottom, height = 8, 132, 108
    width = (WIDTH - 2 * left) / bins
    shapes = []
    for number, count in enumerate(counts):
        top = bottom - height * count / max(counts.max(), 1)
        x = left + number * width
        if count:
            size = {"width": f"{width - 2:.1f}", "height": f"{bottom - top:.1f}"}
            shapes.append(
                element("rect", x=f"{x + 1:.1f}", y=f"{top:.1f}", **size, class_="mark series-0")
            )
            shapes.append(_text(f"{count:,}", x + width / 2, top - 4))
    shapes.append(_line(left, bottom, WIDTH - left, bottom, "axis"))
    ends = (("start", left, edges[0]), ("end", WIDTH - left, edges[-1]))
    shapes += [_text(f"{edge:.3g}", x, bottom + 16, anchor) for anchor, x, edge in ends]
    shapes.append(_text(axis, WIDTH / 2, bottom + 16))
    return _picture(shapes, bottom + 24, summary)


def scatter(
    groups: Sequence[Sequence[Point]], front: Sequence[Point], axes: tuple[str, str], summary: str
) -> Markup:
    """Draw points of several groups and a line of steps through some of them.

    Args:
        groups: List of lists of points `(x, y)`.
        front: List of points from left to right.
        axes: Names of x and y.
        summary: What the picture shows, for readers who cannot see it.
    """
    points = [point for group in groups for point in group]
    x_ticks = ticks(0.0, max(1.0, *(x for x, _ in points)))
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
    top, bottom = 24, 220

    def place(x: float, y: float) -> Point:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (RIGHT - LEFT), bottom - up * (bottom - top)

    shapes = []
    for tick in y_ticks:
        _, y = place(0.0, tick)
        shapes += [_line(LEFT, y, RIGHT, y, "grid"), _text(f"{tick:.4g}", LEFT - 6, y + 4, "end")]
    for tick in x_ticks:
        shapes.append(_text(f"{tick:.4g}", place(tick, y_ticks[0])[0], bottom + 16))
    shapes.append(_line(LEFT, bottom, RIGHT, bottom, "axis"))
    shapes += [_text(axes[0], (LEFT + RIGHT) / 2, bottom + 34), _text(axes[1], 4, 12, "start")]
    shapes.append(_steps([place(*point) for point in front]))
    for number, group in enumerate(groups):
        shapes += [_mark(number, *place(*point)) for point in group]
    return _picture(shapes, bottom + 42, summary)


def legend(names: Iterable[str]) -> Markup:
    """Write the legend of a scatter plot: the mark and the name of each group."""
    entries = []
    for number, name in enumerate(names):
        mark = element("svg", _mark(number, 8, 8), viewBox="0 0 16 16", aria_hidden="true")
        entries.append(element("li", mark, name))
    return element("ul", *entries, class_="legend")


def ticks(low: float, high: float) -> list[float]:
    """Choose four to eleven evenly spaced round numbers that enclose two numbers."""
    span = (high - low) or max(abs(high), 1.0) / 10
    step = 10.0 ** math.floor(math.log10(span / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 8)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _picture(shapes: Iterable[Markup], height: float, summary: str) -> Markup:
    box = f"0 0 {WIDTH} {height}"
    return element("svg", *shapes, viewBox=box, role="img", aria_label=summary)


def _text(text: str, x: float, y: float, anchor: str = "middle") -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", **{name: f"{at:.1f}" for name, at in places.items()}, class_=kind)


def _steps(points: Sequence[Point]) -> Markup:
    corners = [points[0]]
    for x, y in points[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return element("polyline", points=text, class_="front")


def _mark(group: int, x: float, y: float) -> Markup:
    """Draw a point; groups differ in shape and in colour."""
    corners = (
        ((-5, -5), (5, -5), (5, 5), (-5, 5)),
        ((0, -6), (6, 5), (-6, 5)),
        ((0, -7), (6, 0), (0, 7), (-6, 0)),
        ((0, 6), (6, -5), (-6, -5)),
    )
    kind = f"mark series-{group % SERIES}" + (" hollow" if group >= SERIES else "")
    if group % SERIES == 0:
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, class_=kind)
    shape = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners[group % SERIES - 1])
    return element("polygon", points=shape, class_=kind)
