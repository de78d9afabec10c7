"""What an online learner remembers of its samples: a bounded number, the latest or a fair draw."""

from typing import Any

import numpy as np

from keras_dynamicgate.plasticity.learner_file import Saved
from keras_dynamicgate.utils import checks

KINDS = ("window", "reservoir")


class Memory:
    """Holds at most `size` samples: the latest ones, or each one ever seen with the same chance.

    Args:
        size: Positive integer.
        kind: `"window"` or `"reservoir"`.
        seed: Integer, of the reservoir's draws. Defaults to 0.
    """

    def __init__(self, size: int, kind: str, seed: int = 0) -> None:
        checks.positive_integer("memory", size)
        checks.one_of("memory_kind", kind, KINDS)
        self.size = size
        self.kind = kind
        self.seen = 0
        self.x: Any = None
        self.y: Any = None
        self._random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return min(self.seen, self.size)

    def check(self, x: np.ndarray, y: np.ndarray) -> None:
        """Raise a `ValueError` unless samples are of the shapes of those before."""
        for name, given, held in (("x", x, self.x), ("y", y, self.y)):
            if held is not None and given.shape[1:] != held.shape[1:]:
                raise ValueError(
                    f"Argument `{name}` must hold samples of shape {held.shape[1:]}, as those "
                    f"before. Received: {name} of shape {given.shape}"
                )

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add samples, in the places of others once the memory is full."""
        if self.x is None:
            self.x = np.zeros((self.size, *x.shape[1:]), x.dtype)
            self.y = np.zeros((self.size, *y.shape[1:]), y.dtype)
        # Labels such as 0 and 1 may be followed by ones such as 0.5.
        self.x = self.x.astype(np.result_type(self.x, x), copy=False)
        self.y = self.y.astype(np.result_type(self.y, y), copy=False)
        for sample, label in zip(x, y, strict=True):
            place = self._place()
            if place < self.size:
                self.x[place], self.y[place] = sample, label
            self.seen += 1

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Give all samples and labels that are remembered."""
        return self.x[: len(self)].copy(), self.y[: len(self)].copy()

    def draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw some of the samples, none twice; all of them if there are not as many."""
        chosen = self._random.permutation(len(self))[:number]
        return self.x[chosen], self.y[chosen]

    def saved(self) -> Saved:
        """Give what `restored` needs: what JSON can hold, and arrays by name."""
        random = self._random.bit_generator.state
        state = {"size": self.size, "kind": self.kind, "seen": self.seen, "random": random}
        return state, {} if self.x is None else {"x": self.x, "y": self.y}

    @classmethod
    def restored(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Memory":
        """Continue where `saved` was called."""
        memory = cls(state["size"], state["kind"])
        memory.seen, memory.x, memory.y = state["seen"], arrays.get("x"), arrays.get("y")
        memory._random.bit_generator.state = state["random"]
        return memory

    def _place(self) -> int:
        if self.seen < self.size:
            return self.seen
        if self.kind == "window":
            return self.seen % self.size
        return int(self._random.integers(self.seen + 1))
