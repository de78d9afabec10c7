"""Checks of constructor arguments, with errors in Keras's style."""

import math
import numbers
from collections.abc import Callable, Collection


def positive_integer(name: str, value: object) -> None:
    """Raise a `ValueError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(
            f"Argument `{name}` must be a positive integer. Received: {name}={value!r}"
        )


def number(name: str, value: object, allowed: str, is_allowed: Callable[[float], bool]) -> None:
    """Raise a `ValueError` unless `value` is a finite number for which `is_allowed` holds."""
    try:
        is_right = (
            isinstance(value, numbers.Real)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and is_allowed(float(value))
        )
    except OverflowError:  # an integer that no float can hold
        is_right, value = False, math.inf
    if not is_right:
        raise ValueError(
            f"Argument `{name}` must be a number {allowed}. Received: {name}={value!r}"
        )


def one_of(name: str, value: object, known: Collection[object]) -> None:
    """Raise a `ValueError` that lists the known values unless `value` is one of them."""
    if value not in known:
        names = ", ".join(repr(option) for option in known)
        raise ValueError(f"Argument `{name}` must be one of {names}. Received: {name}={value!r}")


def block_size(size: int, units: int) -> None:
    """Raise a `ValueError` unless blocks of `size` units fill `units` units."""
    positive_integer("block_size", size)
    if units % size:
        divisors = [d for d in range(1, units + 1) if units % d == 0]
        raise ValueError(
            f"Argument `block_size` must divide the number of units, {units}; these do: "
            f"{divisors}. Received: block_size={size!r}"
        )


def top_k(k: int, gates: int | None) -> None:
    """Raise a `ValueError` unless `k` of `gates` gates (`None`: not known yet) can be open."""
    positive_integer("top_k", k)
    if gates is not None and k > gates:
        raise ValueError(
            f"Argument `top_k` must be at most the number of gates, {gates}. Received: top_k={k!r}"
        )
