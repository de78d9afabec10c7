"""`Shadow`: gates that a training step opens besides those that are open."""

from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating import masks
from keras_dynamicgate.utils.types import PartialShape


class Shadow(keras.layers.Layer):
    """Opens closed gates in training alone, so that the units behind them get a gradient.

    Files hold its weights only where an update mode has set them, so that files of models without
    one are what they were.

    Attributes:
        settled: Scalar weight, 1 where training decides as inference does, without noise.
        forced_open: Weight of shape `(gates,)`, 1 for the gates that training opens.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build(self, input_shape: PartialShape) -> None:
        self.settled = self._zeros("settled", ())
        self.forced_open = self._zeros("forced_open", input_shape)

    def call(self, mask: Any, decided: Any, probability: Any) -> Any:
        """Give the mask of a training step.

        Args:
            mask: Tensor of shape `(..., gates)`, as the estimator made it.
            decided: The deterministic mask, of a shape that broadcasts to it.
            probability: The gate probabilities, likewise.

        Returns:
            A tensor like `mask`: equal to it as long as no update mode has set the weights.
        """
        shadow = masks.straight_through(ops.maximum(decided, self.forced_open), probability)
        chosen = ops.greater(ops.maximum(self.settled, self.forced_open), 0.0)
        return ops.where(chosen, shadow, mask)

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Never recompute what takes no memory."""
        return layer_call

    def save_own_variables(self, store: Any) -> None:
        """Write the weights if they say anything."""
        values = {weight.name: ops.convert_to_numpy(weight) for weight in self.weights}
        if any(value.any() for value in values.values()):
            for name, value in values.items():
                store[name] = value

    def load_own_variables(self, store: Any) -> None:
        """Read the weights, zeros where the file holds none."""
        for weight in self.weights:
            held = weight.name in list(store.keys())  # files know no other way to ask
            weight.assign(store[weight.name] if held else ops.zeros(weight.shape))

    def _zeros(self, name: str, shape: PartialShape) -> keras.Variable:
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", trainable=False, autocast=False
        )
