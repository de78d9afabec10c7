"""What callbacks need from a model, checked before it trains."""

import warnings

import keras

from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.utils.types import Inputs

LARGEST_UNCOUNTED = 0.1


def require_gates(model: keras.Model, callback: str) -> None:
    """Raise a `ValueError` if a model has no gated layers for a callback to work on."""
    if not gated_layers(model):
        names = [layer.name for layer in model.layers]
        raise ValueError(
            f"`{callback}` needs a model with gated layers, such as "
            f"`keras_dynamicgate.DynamicGateDense`. Received: model {model.name!r} with the "
            f"layers {names}"
        )


def require_counted_gates(model: keras.Model, callback: str, x: Inputs = None) -> ModelCost:
    """Count a model's cost and check that all gated layers are part of it.

    Args:
        model: A built Keras model.
        callback: Name of the callback, for the message.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.

    Returns:
        The `ModelCost` of the model.

    Raises:
        ValueError: If the model has no gated layers or one of them is not counted.
    """
    require_gates(model, callback)
    cost = model_cost(model, x)
    counted = set(map(id, cost.gates.values()))
    missed = [layer.path for layer in gated_layers(model) if id(layer.gate) not in counted]
    if missed:
        raise ValueError(
            f"`{callback}` cannot count gated layers inside other layers: {missed}. Put them into "
            "the model itself, or give the layer around them a method `cost`. "
            f"Received: not counted {cost.not_counted}"
        )
    share, missing = cost.uncounted_share(), ", ".join(cost.not_counted)
    if share > LARGEST_UNCOUNTED:
        warnings.warn(
            f"`{callback}` sees what is counted, and about {share:.0%} of model {model.name!r} is "
            f"not: {missing}. Give these layers a method `cost`.",
            stacklevel=2,
        )
    return cost
