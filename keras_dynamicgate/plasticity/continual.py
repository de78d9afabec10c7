"""What a model that learned one task after the other has kept and gained."""

from typing import Any

import numpy as np

from keras_dynamicgate.plasticity.prequential import hits


def continual_measures(accuracies: Any, untrained: Any = None) -> dict[str, float]:
    """Sum up what a model that learned one task after the other has kept and gained.

    With `a[i, j]` the accuracy on task `j` after learning task `i`, of `T` tasks:

    - average accuracy: the mean of `a[T-1, j]`;
    - backward transfer: the mean of `a[T-1, j] - a[j, j]` over the tasks but the last;
    - forgetting: the mean of `max over i < T-1 of a[i, j]` less `a[T-1, j]` over the same;
    - forward transfer: the mean of `a[j-1, j] - b[j]` over the tasks but the first, with `b` the
      accuracies of the model before it learned any.

    Args:
        accuracies: Array of shape `(tasks, tasks)`.
        untrained: Array of shape `(tasks,)`, for the forward transfer. Defaults to `None`: it is
            left out.

    Returns:
        Dict from the names of the measures to floats; NaN where one task is too few.

    Raises:
        ValueError: If an argument has another shape.

    Examples:
        >>> measures = keras_dynamicgate.plasticity.continual_measures([[0.9, 0.2], [0.7, 0.8]])
        >>> round(measures["forgetting"], 3)
        0.2

    Reference:

    - Lopez-Paz and Ranzato, 2017 (arXiv 1706.08840)
    - Chaudhry et al., 2018 (arXiv 1801.10112), for forgetting
    """
    table = np.asarray(accuracies, "float64")
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise ValueError(
            "Argument `accuracies` must have the shape `(tasks, tasks)`. Received: shape "
            f"{table.shape}"
        )
    last, own = table[-1, :-1], table.diagonal()[:-1]
    best = table[:-1, :-1].max(axis=0, initial=-np.inf)
    found = {
        "average_accuracy": table[-1].mean(),
        "backward_transfer": _mean(last - own),
        "forgetting": _mean(best - last),
    }
    if untrained is not None:
        start = np.asarray(untrained, "float64")
        if start.shape != (len(table),):
            raise ValueError(
                f"Argument `untrained` must have the shape `({len(table)},)`. Received: shape "
                f"{start.shape}"
            )
        found["forward_transfer"] = _mean(table.diagonal(offset=1) - start[1:])
    return {name: float(value) for name, value in found.items()}


def flip_rate(before: Any, after: Any) -> float:
    """Give the share of the same inputs that get another class than before.

    Args:
        before: Array of classes, or of scores of shape `(samples, classes)`.
        after: The same of the same inputs.

    Returns:
        A float from 0 to 1.

    Examples:
        >>> keras_dynamicgate.plasticity.flip_rate([0, 1, 1, 0], [0, 1, 0, 0])
        0.25
    """
    classes = np.asarray(after)
    return 1.0 - float(
        hits(before, classes.argmax(axis=-1) if classes.ndim > 1 else classes).mean()
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
