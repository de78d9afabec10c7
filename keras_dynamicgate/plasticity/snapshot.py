"""All that a model goes on learning from: weights, optimizer and random numbers, as arrays."""

from typing import Any

import keras
import numpy as np
from keras import ops

Snapshot = list[np.ndarray]


def take(model: keras.Model) -> Snapshot:
    """Copy all that a compiled model goes on from."""
    # Some backends change values in their places.
    return [np.array(ops.convert_to_numpy(variable)) for variable in _variables(model)]


def put(model: keras.Model, snapshot: Snapshot) -> None:
    """Let a model go on from what `take` gave, exactly."""
    for variable, value in zip(_variables(model), snapshot, strict=True):
        variable.assign(value)


def is_finite(snapshot: Snapshot) -> bool:
    """Tell whether all numbers of a snapshot are finite."""
    # Of bfloat16 NumPy knows no tests.
    floats = (each for each in snapshot if each.dtype.kind not in "iub")
    return all(np.isfinite(each.astype("float32", copy=False)).all() for each in floats)


def _variables(model: keras.Model) -> list[Any]:
    weights = set(map(id, model.weights))
    # Files of Keras leave out the states of random numbers.
    seeds = [each for each in model.non_trainable_variables if id(each) not in weights]
    return [*model.weights, *model.optimizer.variables, *seeds]
