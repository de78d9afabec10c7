"""The models that learn under drift, and the ways in which they do."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.callbacks.mac_budget import MacBudget
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments.networks import dense_layer, network
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.plasticity import MaskedUpdate, reserve_units

GATES = 16
BUDGET = 0.5
RESERVED = 0.25
LENIENT = 0.05
LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Student:
    """A way to learn from a stream.

    Attributes:
        mode: The update mode.
        gated: Whether the model has gates; otherwise it is the dense network of the same widths.
        opens: Whether units that learned while closed are opened from time to time.
        labelled: Whether it is given labels; otherwise it minimises the entropy of its answers, as
            TENT does (arXiv 2006.10726).
        low_rank: Whether what learns of the hidden layers is a low-rank change of their weights
            (LoRA, arXiv 2106.09685), with about as many numbers as the reserved units have.
        tau: Share of the reference for which units that are opened may open, too.
    """

    mode: str
    gated: bool = True
    opens: bool = False
    labelled: bool = True
    low_rank: bool = False
    tau: float = 0.0


STUDENTS = {
    "none": Student("none"),
    "gates": Student("gates"),
    "inactive": Student("inactive"),
    "both": Student("inactive", opens=True),
    "both_lenient": Student("inactive", opens=True, tau=LENIENT),
    "both_by_gradient": Student("both"),
    "all": Student("all"),
    "head": Student("head"),
    "biases": Student("biases"),
    "gates_unlabelled": Student("gates", labelled=False),
    "biases_unlabelled": Student("biases", labelled=False),
    "dense_none": Student("none", gated=False),
    "dense_all": Student("all", gated=False),
    "dense_head": Student("head", gated=False),
    "dense_biases": Student("biases", gated=False),
    "dense_low_rank": Student("all", gated=False, low_rank=True),
}


def trained(task: Task, dataset: Dataset, reference: np.ndarray, gated: bool, seed: int) -> Any:
    """Train a network before the drift.

    Args:
        task: The `Task`.
        dataset: Its `Dataset`, whose training split is learned.
        reference: Inputs for which the reserved units of the gated network are closed.
        gated: Whether the hidden layers have gates.
        seed: Integer.

    Returns:
        The Keras model.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = network(task, dataset, _gated_layer if gated else dense_layer, dropout=task.dropout)
    task.recipe.train(model, dataset, [MacBudget(BUDGET)] if gated else [], seed=seed, verbose=0)
    if gated:
        reserve_units(model, reference, RESERVED)
    return model


def ready(model: keras.Model, student: Student) -> keras.Model:
    """Prepare a trained model to learn in a student's way; the mode is not set yet."""
    if student.low_rank:
        _add_low_rank(model)
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        MaskedUpdate(keras.optimizers.Adam(LEARNING_RATE)), loss if student.labelled else entropy
    )
    return model


def entropy(labels: Any, logits: Any) -> Any:
    """Give the entropy of each answer, whatever the labels."""
    return -ops.sum(ops.softmax(logits) * ops.log_softmax(logits), axis=-1)


def _gated_layer(units: int, name: str) -> keras.layers.Layer:
    return DynamicGateDense(
        units, activation="relu", gate="linear", block_size=max(1, units // GATES), name=name
    )


def _add_low_rank(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.trainable = layer is not model.layers[-1]
            if layer.trainable:
                inputs, units = layer.kernel.shape
                layer.enable_lora(max(1, round(RESERVED * inputs * units / (inputs + units))))
