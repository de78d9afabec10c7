"""The copy of a model that learns, and publishes versions of what it has learned."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate.plasticity import snapshot
from keras_dynamicgate.plasticity.guard import Guard
from keras_dynamicgate.plasticity.history import History
from keras_dynamicgate.plasticity.learned import Learned
from keras_dynamicgate.plasticity.learner_file import Saved
from keras_dynamicgate.plasticity.memory import Memory
from keras_dynamicgate.plasticity.opening import open_units

Samples = tuple[np.ndarray, np.ndarray]


class LearningCopy:
    """Learns step by step; between the steps it is what the version that answers is.

    Args:
        model: A compiled model of its own.
        guard: What says whether a step may be published.
        memory: What it remembers.
        history: The versions of `model`.
        replay: Integer, how many remembered samples each step learns besides.
        tau: As in `open_units`.
        counts: Dict of the `samples` that it was given, the steps that were `refused`, and the
            `reason` of the last one if it was.
    """

    def __init__(
        self,
        model: keras.Model,
        guard: Guard,
        memory: Memory,
        history: History,
        replay: int,
        tau: float,
        counts: dict[str, Any],
    ) -> None:
        self.model = model
        self.guard = guard
        self.memory = memory
        self.history = history
        self.replay = replay
        self.tau = tau
        self.counts = counts

    def learn(self, x: np.ndarray, y: np.ndarray) -> Learned:
        """Make one step, and go back if it may not be published or fails."""
        batch = x, y
        if len(self.memory):
            batch = _joined(batch, self.memory.draw(self.replay))
        published = False
        try:
            loss = float(self.model.train_on_batch(*batch, return_dict=True)["loss"])
            self._open_units(x, y)
            taken = snapshot.take(self.model)
            reason = self.guard.objection(self.model, taken, loss)
            self.memory.add(x, y)
            self.counts["samples"] += len(x)
            self.counts["refused"] += reason is not None
            self.counts["reason"] = reason
            if reason is None:
                self.history.publish(self.counts["samples"], taken)
                published = True
        finally:
            if not published:
                self.history.go_back(self.history.current.number)
        return Learned(self.history.current.number, published, loss, reason)

    def _open_units(self, x: np.ndarray, y: np.ndarray) -> None:
        """Try to open units in mode `"both"`, each time so many samples came as are remembered."""
        given, size = self.counts["samples"], self.memory.size
        if self.guard.mode == "both" and (given + len(x)) // size > given // size:
            recent = _joined((x, y), self.memory.samples()) if len(self.memory) else (x, y)
            open_units(self.model, self.guard.reference, *recent, tau=self.tau)

    def saved(self) -> dict[str, Saved]:
        """Give what `restored` needs besides the model, by the names of the parts."""
        return {
            "guard": self.guard.saved(),
            "memory": self.memory.saved(),
            "history": self.history.saved(),
            "copy": ({"replay": self.replay, "tau": self.tau, "counts": self.counts}, {}),
        }

    @classmethod
    def restored(cls, model: keras.Model, parts: dict[str, Saved]) -> "LearningCopy":
        """Continue where `saved` was called."""
        guard, memory = Guard.restored(*parts["guard"]), Memory.restored(*parts["memory"])
        history = History.restored(*parts["history"], model)
        return cls(model, guard, memory, history, **parts["copy"][0])


def _joined(one: Samples, other: Samples) -> Samples:
    x, y = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    return x, y
