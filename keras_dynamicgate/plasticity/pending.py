"""Samples that wait for their labels, by key."""

import collections
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dynamicgate.plasticity.learner_file import Saved

Key = str | int


class Pending:
    """Holds the latest samples that have been answered and not learned yet.

    Args:
        size: Positive integer, how many are held; the oldest ones go first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._samples: collections.OrderedDict[Key, np.ndarray] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, keys: Sequence[Key], x: Sequence[np.ndarray]) -> None:
        """Add samples under their keys, each a string or an integer."""
        if len(keys) != len(x) or not all(isinstance(key, (str, int)) for key in keys):
            raise ValueError(
                f"Argument `keys` must hold a string or an integer for each of {len(x)} samples. "
                f"Received: keys={list(keys)[:5]}"
            )
        with self._lock:
            for key, sample in zip(keys, x, strict=True):
                self._samples[key] = sample
                self._samples.move_to_end(key)
            while len(self._samples) > self.size:
                self._samples.popitem(last=False)

    def get(self, keys: Sequence[Key]) -> np.ndarray:
        """Give the samples of some keys, which go on waiting."""
        with self._lock:
            gone = [key for key in keys if key not in self._samples]
            if gone or not len(keys):
                raise ValueError(
                    "Argument `keys` must hold keys of samples that wait for labels, of which the "
                    f"latest {self.size} are kept. Received: {gone[:5]}"
                )
            return np.stack([self._samples[key] for key in keys])

    def remove(self, keys: Sequence[Key]) -> None:
        """Forget the samples of some keys."""
        with self._lock:
            for key in keys:
                self._samples.pop(key, None)

    def saved(self) -> Saved:
        """Give what `restored` needs: what JSON can hold, and arrays by name."""
        with self._lock:
            samples = {str(place): sample for place, sample in enumerate(self._samples.values())}
            return {"size": self.size, "keys": list(self._samples)}, samples

    @classmethod
    def restored(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Pending":
        """Continue where `saved` was called."""
        pending = cls(state["size"])
        pending.add(state["keys"], [arrays[str(place)] for place in range(len(arrays))])
        return pending
