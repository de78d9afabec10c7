"""The classes of samples: their labels and names, if given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dynamicgate.reports.measurements import Measurements


class Classes:
    """Labels of samples and names of classes, checked.

    Args:
        y: Integer labels of shape `(samples,)`, or `None`.
        names: List of the classes' names, or `None`: their numbers.
        samples: Integer, the number of samples.

    Attributes:
        labels: Integer array of shape `(samples,)`, or `None`.

    Raises:
        ValueError: If labels or names do not fit.
    """

    def __init__(self, y: Any, names: Sequence[str] | None, samples: int) -> None:
        self.labels: Any = None
        self._count = 0
        if y is not None:
            self.labels = _labels(y, samples)
            self._count = int(self.labels.max()) + 1
        if names is not None and (isinstance(names, str) or len(names) < self._count):
            raise ValueError(
                f"Argument `class_names` must be a list with a name for each class, {self._count} "
                f"or more. Received: class_names={names!r}"
            )
        self._names = [] if names is None else list(names)

    def name(self, number: int) -> str:
        """Return the name of a class."""
        return str(self._names[number]) if number < len(self._names) else str(number)

    def groups(self, samples: int) -> list[tuple[str, np.ndarray]]:
        """List groups of samples, each a name and a boolean array: all of them, then each class."""
        chosen = [self.labels == number for number in range(self._count)]
        every_sample = ("all", np.ones(samples, bool))
        return [every_sample, *((self.name(number), rows) for number, rows in enumerate(chosen))]

    def accuracy(self, measured: Measurements) -> float | None:
        """Return the share of samples predicted right, `None` without labels or predictions."""
        if self.labels is None or measured.predicted is None:
            return None
        return float(np.mean(measured.predicted == self.labels))


def _labels(y: Any, samples: int) -> np.ndarray:
    labels = np.asarray(y)
    if labels.shape == (samples, 1):
        labels = labels[:, 0]
    whole = labels.dtype.kind in "biuf" and np.all(labels % 1 == 0)
    if samples == 0 or labels.shape != (samples,) or not whole or labels.min() < 0:
        raise ValueError(
            f"Argument `y` must hold an integer of at least 0 for each of the {samples} samples. "
            f"Received: y of shape {labels.shape} and dtype {labels.dtype}"
        )
    return labels.astype(int)
