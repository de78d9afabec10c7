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

Samples = tuple[np.ndarray, np.ndarray]


class LearningCopy:
    """Learns step by step; between the steps it is what the version that answers is.

    Args:
        model: A compiled model of its own.
        guard: What says whether a step may be published.
        memory: What it remembers.
        history: The versions of `model`.
        replay: Integer, how many remembered samples each step learns besides.
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
        counts: dict[str, Any],
    ) -> None:
        self.model = model
        self.guard = guard
        self.memory = memory
        self.history = history
        self.replay = replay
        self.counts = counts

    def learn(self, x: np.ndarray, y: np.ndarray) -> Learned:
        """Make one step, and go back if it may not be published or fails."""
        batch = recent = x, y
        if len(self.memory):
            batch = _joined(batch, self.memory.draw(self.replay))
            recent = _joined(recent, self.memory.samples())
        published = False
        try:
            before = self.guard.recent_loss(self.model, recent)
            loss = float(self.model.train_on_batch(*batch, return_dict=True)["loss"])
            taken = snapshot.take(self.model)
            reason = self.guard.objection(self.model, taken, loss, before, recent)
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

    def saved(self) -> dict[str, Saved]:
        """Give what `restored` needs besides the model, by the names of the parts."""
        return {
            "guard": self.guard.saved(),
            "memory": self.memory.saved(),
            "history": self.history.saved(),
            "copy": ({"replay": self.replay, "counts": self.counts}, {}),
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
