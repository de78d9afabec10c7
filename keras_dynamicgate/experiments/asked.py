"""What a comparison is asked for: its task and its seeds, checked."""

import numbers
from collections.abc import Iterable
from typing import Any

from keras_dynamicgate.experiments.tasks import TASKS, Task

LARGEST_SEED = 2**32 - 1


def task(task: Any) -> Task:
    """Give a `Task` by its name; one that is given already stays as it is."""
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ValueError(
            f"Argument `task` must be one of {', '.join(TASKS)} or a `Task`. "
            f"Received: task={task!r}"
        )
    return TASKS[task]


def seeds(seeds: Any) -> tuple[int, ...]:
    """Give the seeds of a comparison: so many, counted from 0, or those that are listed."""
    chosen = listed(range(seeds) if isinstance(seeds, numbers.Integral) else seeds)
    allowed = all(
        isinstance(seed, numbers.Integral) and 0 <= int(seed) <= LARGEST_SEED for seed in chosen
    )
    if not chosen or not allowed:
        raise ValueError(
            "Argument `seeds` must be a positive integer, their number, or a sequence of integers "
            f"from 0 to {LARGEST_SEED}. Received: seeds={seeds!r}"
        )
    return tuple(map(int, chosen))


def listed(values: Any) -> tuple[Any, ...]:
    """Give values as a tuple, an empty one if they are no list of values."""
    return tuple(values) if isinstance(values, Iterable) else ()
