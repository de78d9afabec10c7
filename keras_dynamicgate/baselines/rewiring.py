"""What the callbacks share that change which weights a model keeps."""

import bisect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.utils import checks


class Rewiring(keras.callbacks.Callback):
    """Base class of callbacks that change, at certain steps, which weights are kept.

    Args:
        interval: Positive integer, the training steps from one change to the next.

    Attributes:
        layer_type: The class of the layers that the callback works on.
    """

    layer_type = MaskedDense

    def __init__(self, interval: int) -> None:
        super().__init__()
        checks.positive_integer("interval", interval)
        self.interval = interval

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        name = type(self).__name__
        if not self.layers():
            raise ValueError(
                f"`{name}` needs a model with `{self.layer_type.__name__}` layers. Received: model "
                f"{self.model.name!r} with the layers {[layer.name for layer in self.model.layers]}"
            )
        if not self.params["steps"]:
            raise ValueError(
                f"`{name}` must know how long the training is. Pass `steps_per_epoch` to `fit`. "
                "Received: data of unknown length"
            )
        self._changes = self.changes(self.params["steps"] * self.params["epochs"])

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_start = self._step = epoch * self.params["steps"]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # With `steps_per_execution`, several steps have passed since the last call.
        done = bisect.bisect_right(self._changes, self._step)
        self._step = self._epoch_start + batch + 1
        if bisect.bisect_right(self._changes, self._step) > done:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
            self.rewire(self._step)

    def changes(self, total_steps: int) -> Sequence[int]:
        """List the steps after which weights are rewired.

        Args:
            total_steps: Integer, the steps of the whole training.

        Returns:
            Sorted sequence of integers.

        Raises:
            ValueError: If the training is too short for a single change.
        """
        raise NotImplementedError

    def rewire(self, step: int) -> None:
        """Change which weights are kept, after training step `step`."""
        raise NotImplementedError

    def layers(self) -> list[Any]:
        """List the layers to work on, including those inside other layers."""
        layers = graph.all_layers(self.model)
        return [layer for layer in layers if isinstance(layer, self.layer_type)]

    def momentum(self, layer: MaskedDense) -> keras.Variable | None:
        """Return the optimizer's momentum of a layer's kernel, or `None` if it has none."""
        trainable = [id(variable) for variable in self.model.trainable_variables]
        momentums = [v for v in self.model.optimizer.variables if v.name.endswith("_momentum")]
        if id(layer.dense_kernel) not in trainable or len(momentums) != len(trainable):
            return None
        return momentums[trainable.index(id(layer.dense_kernel))]

    def too_long(self, total_steps: int, longest: int) -> ValueError:
        """Make the error for an interval that is longer than the time for changes."""
        advice = f"at most {longest} here" if longest else "but the training is too short for any"
        return ValueError(
            f"Argument `interval` is too long: `{type(self).__name__}` would never change a weight "
            f"in a training of {total_steps} steps. Give it fewer steps, {advice}, or train for "
            f"longer. Received: interval={self.interval}"
        )


def magnitudes(tensor: Any, where: np.ndarray) -> np.ndarray:
    """Return absolute values as a float32 array, with -1, less than any of them, elsewhere."""
    values = ops.convert_to_numpy(ops.cast(tensor, "float32"))
    return np.where(where, np.abs(values), np.float32(-1.0))


def reset(variable: keras.Variable, where: np.ndarray) -> None:
    """Set some values of a variable to 0."""
    variable.assign(ops.where(where, 0.0, ops.convert_to_tensor(variable)))


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Mark exactly the `count` largest scores; the lower index wins a tie, on every replica.

    Args:
        scores: Float array of any shape.
        count: Integer from 0 to the number of scores.

    Returns:
        Boolean array of the same shape.
    """
    flat = scores.reshape(-1)
    if count == 0:
        return np.zeros(scores.shape, bool)
    threshold = np.partition(flat, -count)[-count]
    chosen = flat > threshold
    ties = np.flatnonzero(flat == threshold)
    chosen[ties[: count - np.count_nonzero(chosen)]] = True
    return chosen.reshape(scores.shape)
