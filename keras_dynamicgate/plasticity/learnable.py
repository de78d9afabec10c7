"""Which numbers among the weights of a model may change in an update mode."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.gating.openness import Open
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.utils.types import Inputs

Units = dict[str, np.ndarray]
_Masks = dict[int, Any]

# For each weight of a Keras layer with a product whether its last axis but one is that of the
# inputs and whether its last one is that of the units.
AXES = {
    "kernel": (True, True),
    "bias": (False, True),
    "lora_kernel_a": (True, False),
    "lora_kernel_b": (False, True),
}


def learnable(
    model: keras.Model,
    mode: str,
    units: Units,
    variables: Sequence[keras.Variable],
    x: Inputs = None,
) -> list[np.ndarray]:
    """Mark for each weight the numbers that an update mode lets learn.

    Args:
        model: A built Keras model.
        mode: One of the update modes.
        units: Dict from the paths of gated layers to boolean arrays of shape `(gates,)`, the units
            that learn in the modes that let some.
        variables: The weights.
        x: Inputs for the sizes that the model leaves open. Defaults to `None`.

    Returns:
        List of boolean arrays in the shapes of `variables`.
    """
    marked: _Masks = {}
    for mark in MARKED[mode]:
        for key, mask in mark(model, units, x).items():
            marked[key] = marked.get(key, False) | mask
    return [
        np.broadcast_to(marked.get(id(variable), np.False_), variable.shape).copy()
        for variable in variables
    ]


def _of_gates(model: keras.Model, units: Units, x: Inputs) -> _Masks:
    networks = [layer.gate.network for layer in gated_layers(model)]
    return {id(weight): np.True_ for each in networks for weight in each.trainable_weights}


def _of_units(model: keras.Model, units: Units, x: Inputs) -> _Masks:
    """Mark the columns, biases and consumers' rows of units: `W_u` in the documentation.

    A row belongs to a unit where a layer that reads it gets 0 whenever the unit is closed; a column
    where nothing else reads what it gives. Behind layers that cannot be followed, a unit has its
    own column and bias alone.
    """
    masks = {
        layer.gate: 1.0 - units[layer.path][None].astype("float32") for layer in gated_layers(model)
    }
    closed: dict[int, tuple[Any, Any, Any]] = {}
    for product in model_cost(model, x).all_products():
        layer = product.layer
        if layer is not None:
            # A layer that is called several times learns only what is closed in all its calls.
            _, rows, columns = closed.get(id(layer), (layer, np.True_, np.True_))
            rows = rows & _closed(product.nonzero, masks)
            closed[id(layer)] = layer, rows, columns & _closed(product.outputs, masks)
    marked: _Masks = {}
    for layer, rows, columns in closed.values():
        for name, (has_inputs, has_units) in AXES.items():
            weight = getattr(layer, name, None)
            if isinstance(weight, keras.Variable):
                mask = np.zeros(weight.shape, bool)
                mask |= rows[..., None] if has_inputs else False
                mask |= columns if has_units else False
                marked[id(weight)] = mask
    return marked


def _closed(features: Open | None, masks: dict[Any, np.ndarray]) -> Any:
    """Tell which features are closed at all positions, a single `False` if none is."""
    if features is None:
        return np.False_
    is_open = features.features(masks)
    return ~(is_open.reshape(-1, is_open.shape[-1]) > 0).any(axis=0)


def _of_head(model: keras.Model, units: Units, x: Inputs) -> _Masks:
    """Mark the last layer with weights."""
    own = [
        weights
        for layer in graph.all_layers(model)
        if (weights := layer.trainable_weights) and not isinstance(layer, keras.Model)
    ]
    return {id(weight): np.True_ for weight in (own[-1] if own else ())}


def _of_biases(model: keras.Model, units: Units, x: Inputs) -> _Masks:
    """Mark what shifts and scales features: biases, and the weights of normalisation."""
    gates = _of_gates(model, units, x)
    return {
        id(weight): np.True_
        for weight in model.trainable_weights
        if weight.name in SHIFTS and id(weight) not in gates
    }


def _of_all(model: keras.Model, units: Units, x: Inputs) -> _Masks:
    return {id(weight): np.True_ for weight in model.trainable_weights}


SHIFTS = ("bias", "beta", "gamma")
MARKED: dict[str, tuple[Callable[[keras.Model, Units, Inputs], _Masks], ...]] = {
    "none": (),
    "gates": (_of_gates,),
    "inactive": (_of_units,),
    "both": (_of_gates, _of_units),
    "all": (_of_all,),
    "head": (_of_head,),
    "biases": (_of_biases,),
}
