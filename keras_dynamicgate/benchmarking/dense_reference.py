"""The network that a gated model is compared with: itself without gates."""

import keras

from keras_dynamicgate.graph.state import copy_all_state, copy_state
from keras_dynamicgate.layers.gated_layer import GatedLayer


def dense_reference(model: keras.Model) -> keras.Model:
    """Copy a model without its gates: the same network with every gate open.

    Args:
        model: A built Sequential or Functional model; models inside it are copied as well.

    Returns:
        A Keras model with the same weights whose gated layers have `gate=None`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((4,)), keras_dynamicgate.DynamicGateDense(8, block_size=2)
        ... ])
        >>> dense_reference(model).count_params()
        40
    """
    copy = keras.models.clone_model(model, clone_function=_without_gate)
    _copy_weights(model, copy)
    return copy


def _without_gate(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.Model):
        return dense_reference(layer)
    config = layer.get_config()
    if isinstance(layer, GatedLayer):
        config["gate"] = None
    return type(layer).from_config(config)


def _copy_weights(model: keras.Model, copy: keras.Model) -> None:
    for layer, copied in zip(model.layers, copy.layers, strict=True):
        if isinstance(layer, keras.Model):
            continue
        if isinstance(layer, GatedLayer):
            for dense, other in zip(layer.dense_layers, copied.dense_layers, strict=True):
                copy_state(dense, other)
        else:
            copy_all_state(layer, copied)
