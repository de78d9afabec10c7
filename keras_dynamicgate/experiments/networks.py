"""The fully connected network of a task with layers of any kind."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments.tasks import Task

LayerBuilder = Callable[[int, str], keras.layers.Layer]


def network(
    task: Task,
    dataset: Dataset,
    layer: LayerBuilder,
    *,
    dropout: float,
    gate: keras.layers.Layer | None = None,
    hidden: Sequence[int] | None = None,
) -> keras.Model:
    """Build a classifier: flatten, rescale, hidden layers with dropout, and a dense head.

    Args:
        task: The `Task`.
        dataset: The `Dataset`, for the shape of its samples and the number of its classes.
        layer: Function `layer(units, name)` that returns a hidden layer with ReLU.
        dropout: Float, the share of the hidden units that training drops.
        gate: Layer between the inputs and the first hidden layer. Defaults to `None`.
        hidden: Tuple of integers, the widths of the hidden layers. Defaults to `None`: those of
            the task.

    Returns:
        A Keras model that returns logits of shape `(batch, classes)`.
    """
    inputs, x = prepared_inputs(task, dataset)
    if gate is not None:
        x = gate(x)
    for number, units in enumerate(task.hidden if hidden is None else hidden, start=1):
        x = layer(units, f"hidden{number}")(x)
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(dataset.num_classes, name="classes")(x))


def dense_layer(units: int, name: str) -> keras.layers.Layer:
    """Create the hidden layer of a network without gates."""
    return keras.layers.Dense(units, activation="relu", name=name)


def prepared_inputs(task: Task, dataset: Dataset) -> tuple[Any, Any]:
    """Create the input of a network; return it and what it becomes, flattened and rescaled."""
    shape = dataset.train.element_spec[0].shape
    inputs = keras.Input(shape)
    x = keras.layers.Flatten()(inputs) if len(shape) > 1 else inputs
    if (task.mean, task.scale) != (0.0, 1.0):
        x = keras.layers.Rescaling(task.scale, offset=-task.mean * task.scale)(x)
    return inputs, x


def widths(task: Task, factor: float) -> tuple[int, ...]:
    """Scale the widths of a task's hidden layers, to at least 1 unit each."""
    return tuple(max(1, round(units * factor)) for units in task.hidden)


def dense_macs(task: Task, dataset: Dataset, hidden: Sequence[int]) -> int:
    """Count the multiply-accumulates of the dense network with the given hidden widths."""
    return chain_macs((feature_count(dataset), *hidden, dataset.num_classes))


def chain_macs(sizes: Sequence[int]) -> int:
    """Count the multiply-accumulates of successive dense layers between these sizes."""
    return sum(rows * columns for rows, columns in itertools.pairwise(sizes))


def feature_count(dataset: Dataset) -> int:
    """Count the features of a sample of a data set."""
    return math.prod(dataset.train.element_spec[0].shape)
