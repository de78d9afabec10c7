"""The Pareto front of accuracy and cost."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Point = TypeVar("Point")


def pareto_front(
    points: Iterable[Point], place: Callable[[Any], tuple[float, float]] = lambda point: point
) -> list[Point]:
    """Keep the points that no other beats in both cost and accuracy.

    Args:
        points: The points.
        place: Function from a point to its cost and accuracy. Defaults to points that are such
            pairs themselves.

    Returns:
        List of the points that remain, from cheap to costly.

    Examples:
        >>> pareto_front([(0.3, 97.0), (0.1, 98.0), (1.0, 99.0)])
        [(0.1, 98.0), (1.0, 99.0)]
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (place(point)[0], -place(point)[1])):
        if not front or place(point)[1] > place(front[-1])[1]:
            front.append(point)
    return front
