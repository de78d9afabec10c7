"""`load_dense_weights`: a model with gates takes the weights file of the same model without."""

import os
from collections.abc import Iterator

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.graph.drop_in import DropIn
from keras_dynamicgate.graph.state import copy_all_state, copy_state
from keras_dynamicgate.layers.gated_layer import GatedLayer


def load_dense_weights(model: keras.Model, filepath: str | os.PathLike[str]) -> None:
    """Load the weights that a model had while `keras.layers` stood in place of its gated layers.

    `model.load_weights` does not find them, since Keras files weights under the classes of layers.
    Gates, which such a file knows nothing of, stay as they are: at their start in a new model.

    Args:
        model: A built Sequential or Functional model; models inside it may have gated layers, too.
        filepath: Path of a `.weights.h5` or `.keras` file of the same model with `Dense` in place
            of `DynamicGateDense`, `Conv2D` in place of `DynamicGateConv2D`, and any other gated
            layer without gates.

    Raises:
        ValueError: If the file is one of another model, or if gated layers are where no
            Sequential or Functional model holds them.

    Examples:
        >>> inputs = keras.Input((4,))
        >>> dense = keras.Sequential([inputs, keras.layers.Dense(8)])
        >>> dense.save_weights("dense.weights.h5")
        >>> gated = keras.Sequential([
        ...     inputs, keras_dynamicgate.DynamicGateDense(8, gate="static")
        ... ])
        >>> keras_dynamicgate.load_dense_weights(gated, "dense.weights.h5")
        >>> bool(keras.ops.all(gated.layers[0].kernel == dense.layers[0].kernel))
        True
    """
    ordinary = _ordinary(model)
    ordinary.load_weights(filepath)
    for layer, other in _pairs(model, ordinary):
        if isinstance(layer, GatedLayer):
            found = [other] if isinstance(layer, DropIn) else other.dense_layers
            for dense, loaded in zip(layer.dense_layers, found, strict=True):
                copy_state(loaded, dense)
        else:
            copy_all_state(other, layer)


def _ordinary(model: keras.Model) -> keras.Model:
    """Copy a model without gates, with Keras's own layers where gated ones stand for them."""
    if not graph.has_graph(model):
        raise ValueError(
            "Argument `model` must be a Sequential or Functional model, or have such models "
            "inside. Load the weights into the model without gates and use `gate_model`, or copy "
            f"them layer by layer. Received: model={model!r}"
        )
    return keras.models.clone_model(model, clone_function=_ordinary_layer)


def _ordinary_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.Model):
        return _ordinary(layer)
    if isinstance(layer, DropIn):
        (inner,) = layer.dense_layers
        return type(inner).from_config({**inner.get_config(), "name": layer.name})
    if isinstance(layer, GatedLayer):
        return type(layer).from_config({**layer.get_config(), "gate": None})
    if any(isinstance(each, GatedLayer) for each in graph.all_layers(layer)):
        raise ValueError(
            "Argument `model` must have its gated layers in Sequential or Functional models, not "
            f"inside of other layers. Received: layer {layer.name!r} ({type(layer).__name__})"
        )
    return type(layer).from_config(layer.get_config())


def _pairs(
    model: keras.Model, other: keras.Model
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Pair the layers of a model and its copy, those of models inside it included."""
    for layer, copied in zip(model.layers, other.layers, strict=True):
        if isinstance(layer, keras.Model):
            yield from _pairs(layer, copied)
        else:
            yield layer, copied
