"""The versions of a model that are kept, and the one among them that answers."""

import collections
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.plasticity import snapshot
from keras_dynamicgate.plasticity.learner_file import Saved
from keras_dynamicgate.plasticity.versions import Server, Version
from keras_dynamicgate.utils import checks


class History:
    """Keeps the latest versions of a model that learns.

    Args:
        model: The model that learns.
        keep: Positive integer, how many versions are kept.

    Attributes:
        current: The `Version` that answers. Setting it is the only change that a thread that
            predicts can see.
    """

    current: Version

    def __init__(self, model: keras.Model, keep: int) -> None:
        checks.positive_integer("keep", keep)
        self.keep = keep
        self.published = 0
        self._model = model
        self._server = Server(model)
        self._versions: collections.OrderedDict[int, Version] = collections.OrderedDict()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the versions that are kept, the oldest first."""
        return list(self._versions)

    def publish(self, samples: int, taken: snapshot.Snapshot) -> None:
        """Make a version of the model as it is now, and answer from it.

        Args:
            samples: Integer, how many samples its learner was given until now.
            taken: The snapshot of the model.
        """
        version = self._make(self.published, samples, taken)
        self.published += 1
        while len(self._versions) > self.keep:
            self._versions.popitem(last=False)
        self.current = version

    def go_back(self, number: int) -> None:
        """Answer from a version again, and let the model go on from it."""
        if number not in self._versions:
            raise ValueError(
                f"Argument `version` must be one of those that are kept, {self.numbers}; "
                f"`keep` says how many. Received: version={number!r}"
            )
        snapshot.put(self._model, self._versions[number].snapshot)
        self.current = self._versions[number]

    def saved(self) -> Saved:
        """Give what `restored` needs: what JSON can hold, and arrays by name."""
        versions = self._versions.values()
        state = {
            "keep": self.keep,
            "published": self.published,
            "current": self.current.number,
            "samples": {each.number: each.samples for each in versions},
        }
        return state, {
            f"{each.number}/{place}": array
            for each in versions
            for place, array in enumerate(each.snapshot)
        }

    @classmethod
    def restored(
        cls, state: dict[str, Any], arrays: dict[str, np.ndarray], model: keras.Model
    ) -> "History":
        """Continue where `saved` was called."""
        history = cls(model, state["keep"])
        history.published = state["published"]
        now = snapshot.take(model)
        for number, samples in state["samples"].items():
            # Arrays of bfloat16 come back as bytes.
            taken = [arrays[f"{number}/{i}"].view(each.dtype) for i, each in enumerate(now)]
            snapshot.put(model, taken)
            history._make(int(number), samples, taken)
        history.go_back(state["current"])
        return history

    def _make(self, number: int, samples: int, taken: snapshot.Snapshot) -> Version:
        """Keep a version of the model as it is now."""
        version = Version(number, samples, taken, self._server.make(self._model))
        self._versions[number] = version
        return version
