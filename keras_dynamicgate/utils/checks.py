"""Checks of constructor arguments, with errors in Keras's style."""

import math
import numbers


def positive_integer(name, value):
    """Raise a `ValueError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(
            f"Argument `{name}` must be a positive integer. Received: {name}={value!r}"
        )


def number(name, value, allowed, is_allowed):
    """Raise a `ValueError` unless `value` is a finite number for which `is_allowed` holds."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not is_allowed(value):
        raise ValueError(
            f"Argument `{name}` must be a number {allowed}. Received: {name}={value!r}"
        )


def one_of(name, value, known):
    """Raise a `ValueError` that lists what is known unless `value` is in it."""
    if value not in known:
        names = ", ".join(repr(option) for option in known)
        raise ValueError(f"Argument `{name}` must be one of {names}. Received: {name}={value!r}")


def block_size(size, units):
    """Raise a `ValueError` unless blocks of `size` units fill `units` units."""
    positive_integer("block_size", size)
    if units % size:
        divisors = [d for d in range(1, units + 1) if units % d == 0]
        raise ValueError(
            f"Argument `block_size` must divide the number of units, {units}; these do: "
            f"{divisors}. Received: block_size={size!r}"
        )


def top_k(k, gates):
    """Raise a `ValueError` unless `k` of `gates` gates (`None`: not known yet) can be open."""
    positive_integer("top_k", k)
    if gates is not None and k > gates:
        raise ValueError(
            f"Argument `top_k` must be at most the number of gates, {gates}. Received: top_k={k!r}"
        )
