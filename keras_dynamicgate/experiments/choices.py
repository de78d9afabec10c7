"""What the gates and experts of a model choose for each sample."""

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.baselines import SwitchMoE
from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers


def choices_of(model: keras.Model, x: np.ndarray, batch_size: int) -> np.ndarray | None:
    """Collect the choices of input-dependent gates and experts.

    Args:
        model: A Keras model.
        x: Array of inputs of shape `(samples, ...)`.
        batch_size: Integer, the number of samples that run at once.

    Returns:
        Array of shape `(samples, gates)` of zeros and ones, the layers side by side; `None` if
        nothing in the model depends on the input.
    """
    columns = [*_masks(model, x, batch_size), *_experts(model, x, batch_size)]
    return np.concatenate(columns, axis=1) if columns else None


def _masks(model: keras.Model, x: np.ndarray, batch_size: int) -> list[np.ndarray]:
    if not any(layer.gate.input_dependent for layer in gated_layers(model)):
        return []
    masks: dict = {}
    for _, record in record_batches(model, x, batch_size):
        for gate, mask in record.masks(padding=True).items():
            if gate.input_dependent:
                masks.setdefault(gate, []).append(mask.reshape(len(mask), -1))
    return [np.concatenate(batches) for batches in masks.values()]


def _experts(model: keras.Model, x: np.ndarray, batch_size: int) -> list[np.ndarray]:
    chosen = []
    for layer in model.layers:
        if isinstance(layer, SwitchMoE):
            tokens = keras.Model(model.inputs, layer.input).predict(x, batch_size, verbose=0)
            experts = ops.convert_to_numpy(layer.route(tokens)[0])
            chosen.append(np.eye(layer.num_experts, dtype="float32")[experts].sum(axis=1))
    return chosen
