"""A weight that files leave out."""

from typing import Any

import keras


class UnsavedWeight(keras.layers.Layer):
    """Holds a non-trainable weight that the compiled step sees and no file does.

    Args:
        size: Integer, the size of its only axis.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        weight: Float32 weight of shape `(size,)`, zeros at first.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.size = size

    def build(self, input_shape: Any = None) -> None:
        self.weight = self.add_weight(
            name="weight", shape=(self.size,), initializer="zeros", trainable=False, autocast=False
        )

    def save_own_variables(self, store: Any) -> None:
        """Write nothing."""

    def load_own_variables(self, store: Any) -> None:
        """Read nothing."""
