"""Checks of the samples that a model is given to keep to or to learn from."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.gating.not_a_number import samples_with_nan
from keras_dynamicgate.gating.record import count_samples
from keras_dynamicgate.utils.types import Inputs


def check_shapes(model: keras.Model, x: Inputs, argument: str) -> None:
    """Raise a `ValueError` unless inputs fit those of a model with a graph."""
    if not graph.has_graph(model):
        return  # only the call itself knows what it takes
    for name, tensor, array in graph.pair_inputs(model, x, argument):
        shape = np.shape(array)
        sizes = tuple(tensor.shape)[1:]
        fits = len(shape) == len(sizes) + 1 and all(
            size in (None, given) for size, given in zip(sizes, shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(
                f"Argument `{argument}` must hold samples of shape {sizes} for input {name!r}. "
                f"Received: an array of shape {shape}"
            )


def checked_samples(model: keras.Model, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Give samples and their labels as arrays.

    Args:
        model: The model that is to learn from them.
        x: Array of inputs, or what becomes one.
        y: Array of labels: classes, or of the shape of the outputs.

    Raises:
        ValueError: If these are no numbers, do not fit the model or each other, or if labels are
            outside the classes.
    """
    x, y = _numbers("x", x), _numbers("y", y)
    check_shapes(model, x, "x")
    if y.shape == () or len(x) != len(y) or count_samples(x, "x") != len(y):
        raise ValueError(
            "Argument `y` must hold a label for each sample. Received: "
            f"x of shape {x.shape}, y of shape {y.shape}"
        )
    if graph.has_graph(model):
        _check_classes(y, model.output_shape)
    return x, y


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # of lists that differ in length
        array = np.asarray(None)
    if array.dtype.kind in "OSUMm":
        raise ValueError(
            f"Argument `{name}` must be an array of numbers. "
            f"Received: {name} with a {type(value).__name__}"
        )
    if array.ndim and array.size and samples_with_nan(array).any():
        raise ValueError(f"Argument `{name}` must hold numbers. Received: NaN")
    return array


def _check_classes(y: np.ndarray, outputs: Any) -> None:
    """Raise a `ValueError` if labels are classes and outside those of a model."""
    classes = outputs[-1]
    if (
        not isinstance(classes, int)
        or classes == 1
        or y.shape[len(outputs) - 1 :] not in ((), (1,))
    ):
        return  # several outputs, a regression, or a number for each class
    if y.min() < 0 or y.max() >= classes or (y != np.floor(y)).any():
        raise ValueError(
            f"Argument `y` must hold classes from 0 to {classes - 1}, which the model has. "
            f"Received: labels from {y.min()} to {y.max()}"
        )
