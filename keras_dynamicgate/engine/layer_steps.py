"""The steps of Keras's own layers: Dense, activations, normalisation."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_dynamicgate.engine import steps
from keras_dynamicgate.engine.numpy_kernels import ACTIVATIONS
from keras_dynamicgate.graph.layer_types import IDENTITIES, by_name
from keras_dynamicgate.graph.state import readable

# `plan.py` imports this file.
Planner = Any
Tensor = Any

ACROSS_UNITS = ("softmax", "log_softmax")
# Activation functions of single units: name, and whether they turn 0 into 0.
UNIT_WISE = {
    name: bool(function(np.float32(0), np.float32(0)) == 0)
    for name, function in ACTIVATIONS.items()
    if name not in ACROSS_UNITS
}
DEFAULT_SLOPES = {"leaky_relu": 0.2, "elu": 1.0}
IDENTITY_TYPES = frozenset(by_name(None, *IDENTITIES))
AFFINE_TYPES = (layers.Rescaling, layers.Normalization)
REMEDY = (
    "The engine runs chains of Dense, DynamicGate, DynamicGateDense, DynamicGateMLP, activation, "
    "BatchNormalization, LayerNormalization, RMSNormalization, Normalization, Rescaling, Dropout "
    "and Flatten layers. Run this model with `model.predict`, or give the engine a model of the "
    "part that is such a chain"
)


def cannot_run(layer: layers.Layer, reason: str) -> ValueError:
    """Make the error for a layer that an engine has no step for."""
    return ValueError(
        f"The engine cannot run layer {layer.name!r} ({type(layer).__name__}){reason}. {REMEDY}."
    )


def check_precision(layer: layers.Layer) -> None:
    """Raise a `ValueError` unless a layer computes in float32 and is not quantized."""
    inner = [layer, *getattr(layer, "dense_layers", [])]
    quantized = next((each for each in inner if getattr(each, "quantization_mode", None)), None)
    if quantized is not None:
        mode = quantized.quantization_mode
        raise cannot_run(layer, f": it is quantized to {mode!r} and the engine is float32 only")
    if layer.compute_dtype != "float32":
        raise cannot_run(
            layer, f": it computes in {layer.compute_dtype!r} and the engine is float32 only"
        )


def is_identity(layer: layers.Layer) -> bool:
    """Tell whether a layer does nothing at inference."""
    return type(layer) in IDENTITY_TYPES


def weight(variable: Any) -> np.ndarray:
    """Give a weight, or numbers, as a float32 array that shares their memory where it can."""
    value = variable
    if isinstance(variable, keras.Variable):
        # A plain tensor of the backend: from a variable, TensorFlow and Keras make a copy.
        value = keras.ops.stop_gradient(variable)
    return np.asarray(readable(value)).astype("float32", copy=False)


def activation_of(layer: layers.Layer, activation: Callable | None) -> tuple[str, float]:
    """Give the name of an activation function that the engine knows, and its slope.

    Raises:
        ValueError: If the engine does not know the function.
    """
    if activation is None:
        return "linear", 0.0
    name = getattr(activation, "__name__", type(activation).__name__)
    known = name in UNIT_WISE or name in ACROSS_UNITS
    if not known or getattr(keras.activations, name, None) is not activation:
        options = ", ".join(repr(option) for option in (*UNIT_WISE, *ACROSS_UNITS))
        raise cannot_run(layer, f": its activation {name!r} is none of {options}")
    return name, DEFAULT_SLOPES.get(name, 0.0)


def dense_weights(dense: layers.Dense) -> tuple[np.ndarray, np.ndarray | None]:
    """Give the kernel and the bias (or `None`) of a `keras.layers.Dense`."""
    bias = None if dense.bias is None else weight(dense.bias)
    return weight(dense.kernel), bias


def add_dense(
    planner: Planner, layer: layers.Layer, tensor: Tensor, called: str | None = None
) -> Tensor:
    """Add the steps of a `keras.layers.Dense`, which users know by the name `called`."""
    called = called or layer.name
    kernel, bias = dense_weights(layer)
    name, slope = activation_of(layer, layer.activation)
    if name in ACROSS_UNITS:
        tensor = planner.product(tensor, kernel, bias, name=called)
        return _activate(planner, tensor, name, slope)
    return planner.product(tensor, kernel, bias, name, slope, name=called)


def add_unit_wise(planner: Planner, layer: layers.Layer, tensor: Tensor) -> Tensor:
    """Add the steps of an activation or normalisation layer.

    Raises:
        ValueError: If the layer is neither, or has options that the engine has no kernel for.
    """
    kind = type(layer)
    if kind is layers.Activation:
        return _activate(planner, tensor, *activation_of(layer, layer.activation))
    if kind is layers.ReLU:
        return _activate(planner, tensor, *_relu(layer))
    if kind is layers.LeakyReLU:
        return _activate(planner, tensor, "leaky_relu", float(layer.negative_slope))
    if kind is layers.ELU:
        return _activate(planner, tensor, "elu", float(layer.alpha))
    if kind is layers.Softmax:
        check_axis(layer, tensor)
        return _activate(planner, tensor, "softmax", 0.0)
    if kind is layers.BatchNormalization:
        check_axis(layer, tensor)
        return _affine(planner, tensor, *_batch_normalization(layer))
    if kind in AFFINE_TYPES:
        for scale, shift in affines(layer, tensor.features):
            tensor = _affine(planner, tensor, scale, shift)
        return tensor
    if kind in (layers.LayerNormalization, layers.RMSNormalization):
        check_axis(layer, tensor)
        return _normalize(planner, layer, tensor)
    raise cannot_run(layer, "")


def check_axis(layer: layers.Layer, tensor: Tensor) -> None:
    """Raise a `ValueError` unless a layer works along the last axis alone."""
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if list(axes) not in ([-1], [len(tensor.positions) + 1]):
        raise cannot_run(layer, f" on axis {layer.axis}")


def _relu(layer: layers.ReLU) -> tuple[str, float]:
    if layer.threshold == 0 and layer.max_value is None:
        slope = float(layer.negative_slope)
        return ("leaky_relu", slope) if slope else ("relu", 0.0)
    if layer.threshold == 0 and layer.max_value == 6 and layer.negative_slope == 0:
        return "relu6", 0.0
    raise cannot_run(layer, " with this `threshold` or `max_value`")


def _activate(planner: Planner, tensor: Tensor, name: str, slope: float) -> Tensor:
    if name in ACROSS_UNITS:
        tensor = planner.expanded(tensor)
    elif not UNIT_WISE[name]:
        tensor = planner.opened(tensor)
        if not tensor.layout.is_complete:
            tensor = planner.expanded(tensor)
    width = tensor.features if name in ACROSS_UNITS else tensor.layout.width
    planner.plan.steps.append(steps.Activate(tensor.buffer, width, name, slope))
    return tensor


def _batch_normalization(layer: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = weight(layer.moving_mean), weight(layer.moving_variance)
    # In float32 and in this order, as Keras does it.
    scale = 1.0 / np.sqrt(variance + np.float32(layer.epsilon))
    if layer.gamma is not None:
        scale = scale * weight(layer.gamma)
    shift = -mean * scale
    if layer.beta is not None:
        shift = shift + weight(layer.beta)
    return scale, shift


def affines(layer: layers.Layer, features: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """List the scale and shift, arrays of shape `(features,)`, of each step of a layer.

    Args:
        layer: A `Rescaling` or a built `Normalization`.
        features: Integer, the size of the last axis.

    Raises:
        ValueError: If the layer does not treat a feature alike at all positions.
    """
    if type(layer) is layers.Rescaling:
        pairs = [(layer.scale, layer.offset)]
    else:
        mean = weight(layer.mean)
        deviation = np.maximum(np.sqrt(weight(layer.variance)), keras.config.epsilon())
        # The mean first, as Keras does it: divided before, large features would lose digits.
        pairs = [(1.0, -mean), (1.0 / deviation, 0.0)]
        if layer.invert:
            pairs = [(deviation, mean)]
    return [
        (_per_feature(layer, scale, features), _per_feature(layer, shift, features))
        for scale, shift in pairs
    ]


def _per_feature(layer: layers.Layer, values: Any, features: int) -> np.ndarray:
    values = weight(values)
    is_row = values.size == 1 or values.shape[-1:] == (values.size,) == (features,)
    moved = values.size > 1 and keras.config.image_data_format() == "channels_first"
    if not is_row or (moved and type(layer) is layers.Rescaling):
        raise cannot_run(layer, " on another axis than the last")
    return np.ascontiguousarray(np.broadcast_to(values.reshape(-1), (features,)))


def _affine(planner: Planner, tensor: Tensor, scale: np.ndarray, shift: np.ndarray) -> Tensor:
    """Add the step that multiplies each feature by a scale and adds a shift."""
    tensor = planner.opened(tensor)
    if not tensor.layout.is_complete:
        tensor = planner.expanded(tensor)
    planner.plan.steps.append(
        steps.Affine(tensor.buffer, tensor.layout.rows_of(scale), tensor.layout.rows_of(shift))
    )
    return tensor


def _normalize(planner: Planner, layer: layers.Layer, tensor: Tensor) -> Tensor:
    if getattr(layer, "rms_scaling", False):
        raise cannot_run(layer, " with `rms_scaling`: use `keras.layers.RMSNormalization`")
    centred = type(layer) is layers.LayerNormalization
    gamma, beta = (layer.gamma, layer.beta) if centred else (layer.scale, None)
    tensor = planner.expanded(tensor)
    ones = np.ones(tensor.features, "float32")
    scale = ones if gamma is None else weight(gamma)
    shift = np.zeros_like(ones) if beta is None else weight(beta)
    planner.plan.steps.append(
        steps.Normalize(tensor.buffer, scale, shift, float(layer.epsilon), centred)
    )
    return tensor
