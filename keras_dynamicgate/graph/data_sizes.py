"""The sizes of what a model is trained on, where its inputs leave them open."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate.graph.walk import functional, has_graph
from keras_dynamicgate.utils.types import Inputs


def has_open_axes(model: keras.Model) -> bool:
    """Tell whether an input of a model has an axis of unknown size besides the batch.

    So it is for all inputs of a subclassed model that has not been called yet.
    """
    if has_graph(model) or isinstance(model, keras.Sequential):
        return any(None in tuple(tensor.shape)[1:] for tensor in functional(model).inputs)
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    return shapes is None or _is_open(shapes)


def _is_open(shapes: Any) -> bool:
    """Tell whether one of some shapes, in lists and dicts, leaves a size open."""
    if isinstance(shapes, dict):
        return any(map(_is_open, shapes.values()))
    if all(size is None or isinstance(size, int) for size in shapes):
        return None in shapes[1:]
    return any(map(_is_open, shapes))


class TrainingInputs:
    """Watches a `fit` for the sizes of its inputs, from the first step on until it is stopped.

    Args:
        model: A compiled model, whose step is compiled anew.

    Attributes:
        sample: Inputs as for `model.predict` that hold no data but have the sizes of the last
            batch whose step was compiled, or `None` before the first.
    """

    def __init__(self, model: keras.Model) -> None:
        self.sample: Inputs = None
        self._model = model
        step = model.train_step

        def watched(*arguments: Any) -> Any:
            x, _, _ = keras.utils.unpack_x_y_sample_weight(arguments[-1])
            self.sample = keras.tree.map_structure(_without_data, x)
            return step(*arguments)

        # No callback sees data, and `train_step` is what Keras lets everyone override.
        model.train_step = watched
        model.make_train_function(force=True)

    def stop(self) -> None:
        """Let the model train as before; its step has to be compiled anew."""
        vars(self._model).pop("train_step", None)
        self._model.train_function = None


def values_in_place(model: keras.Model) -> None:
    """Give the variables their values between two steps of a `fit`, where JAX keeps them apart."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def _without_data(tensor: Any) -> np.ndarray:
    sizes = tuple(tensor.shape)[1:]
    if None in sizes:
        raise ValueError(
            "The sizes of the data that the model is trained on have to be known, and this "
            "`tf.data.Dataset` leaves them open. Pad its batches to one length, such as with "
            "`padded_batch(..., padded_shapes=...)` and `bucket_by_sequence_length`. "
            f"Received: inputs of shape {tuple(tensor.shape)}"
        )
    return np.broadcast_to(np.float32(0), (1, *sizes))
