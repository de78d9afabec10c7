"""The time that functions take, measured in turns."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], Any]

LEAST_ROUNDS = 3
WARM_UP, TIMED = 0.02, 0.02  # seconds a round; in shorter ones the caches still hold the run before
LEAST_CALLS = 4
PAUSE = 0.03  # seconds; idle threads of one library (OpenBLAS: 26 ms) spin and slow down the next


def measure(
    contenders: dict[str, Run], batches: list[np.ndarray], seconds: float
) -> dict[str, list[float]]:
    """Time functions on batches, round after round.

    In each round every function runs for some milliseconds in a row, the first of them untimed, as
    it would in a busy service. A pause before that gives the threads of the previous function time
    to go to sleep.

    Args:
        contenders: Dict from name to a function of a batch.
        batches: List of arrays that the calls take in turn.
        seconds: Float, roughly how long all of it takes; there are at least `LEAST_ROUNDS` rounds.

    Returns:
        Dict from name to the list of times, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    turns = {name: itertools.cycle(batches) for name in contenders}
    end, rounds = time.perf_counter() + seconds, 0
    for name, run in contenders.items():
        run(next(turns[name]))
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        for name, run in contenders.items():
            time.sleep(PAUSE)
            timed_calls(run, turns[name], WARM_UP, 1)
            times[name] += timed_calls(run, turns[name], TIMED, LEAST_CALLS)
        rounds += 1
    return times


def timed_calls(run: Run, batches: Iterator[np.ndarray], seconds: float, least: int) -> list[float]:
    """Call a function for some seconds, `least` times or more; return the time of each call."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        batch = next(batches)
        begin = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - begin)
    return times
