"""All that a model goes on learning from: weights, optimizer and random numbers, as arrays."""

from collections.abc import Iterable
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


def restored(model: keras.Model, arrays: Iterable[np.ndarray]) -> Snapshot:
    """Give the snapshot that a file holds, from which arrays of bfloat16 come back as bytes."""
    return [array.view(now.dtype) for now, array in zip(take(model), arrays, strict=True)]


def _variables(model: keras.Model) -> list[Any]:
    weights = set(map(id, model.weights))
    # Files of Keras leave out the states of random numbers.
    seeds = [each for each in model.non_trainable_variables if id(each) not in weights]
    return [*model.weights, *model.optimizer.variables, *seeds]
