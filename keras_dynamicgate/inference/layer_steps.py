"""The steps of Keras's own layers: Dense, activations, normalisation."""

import keras
import numpy as np
from keras import layers

from keras_dynamicgate.inference import steps

# Activation functions of single units: name, and whether they turn 0 into 0.
UNIT_WISE = {
    "linear": True,
    "relu": True,
    "leaky_relu": True,
    "relu6": True,
    "elu": True,
    "selu": True,
    "tanh": True,
    "gelu": True,
    "silu": True,
    "softsign": True,
    "mish": True,
    "hard_silu": True,
    "sigmoid": False,
    "softplus": False,
    "exponential": False,
    "hard_sigmoid": False,
}
ACROSS_UNITS = ("softmax", "log_softmax")
DEFAULT_SLOPES = {"leaky_relu": 0.2, "elu": 1.0}
IDENTITIES = (
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "ActivityRegularization",
    "Identity",
)


def cannot_run(layer, reason):
    """Make the error for a layer that an engine has no step for."""
    from keras_dynamicgate.inference.plan import REMEDY

    return ValueError(
        f"The engine cannot run layer {layer.name!r} ({type(layer).__name__}){reason}. {REMEDY}."
    )


def check_precision(layer):
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


def is_identity(layer):
    """Whether a layer does nothing at inference."""
    return type(layer) in [getattr(layers, name) for name in IDENTITIES]


def weight(variable):
    """Give a weight as a float32 array."""
    return np.asarray(keras.ops.convert_to_numpy(variable), "float32")


def activation_of(layer, activation):
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


def dense_weights(dense):
    """Give the kernel and the bias (or `None`) of a `keras.layers.Dense`."""
    bias = None if dense.bias is None else weight(dense.bias)
    return weight(dense.kernel), bias


def add_dense(planner, layer, tensor, called=None):
    """Add the steps of a `keras.layers.Dense`, which users know by the name `called`."""
    called = called or layer.name
    kernel, bias = dense_weights(layer)
    name, slope = activation_of(layer, layer.activation)
    if name in ACROSS_UNITS:
        tensor = planner.product(tensor, kernel, bias, name=called)
        return _activate(planner, tensor, name, slope)
    return planner.product(tensor, kernel, bias, name, slope, name=called)


def add_unit_wise(planner, layer, tensor):
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
    if kind is layers.Softmax and layer.axis == -1:
        return _activate(planner, tensor, "softmax", 0.0)
    if kind is layers.BatchNormalization:
        return _batch_normalization(planner, layer, tensor)
    if kind is layers.Rescaling:
        return _affine(planner, tensor, layer.scale, layer.offset)
    if kind is layers.LayerNormalization:
        return _layer_normalization(planner, layer, tensor)
    raise cannot_run(layer, "")


def _relu(layer):
    if layer.threshold == 0 and layer.max_value is None:
        slope = float(layer.negative_slope)
        return ("leaky_relu", slope) if slope else ("relu", 0.0)
    if layer.threshold == 0 and layer.max_value == 6 and layer.negative_slope == 0:
        return "relu6", 0.0
    raise cannot_run(layer, " with this `threshold` or `max_value`")


def _activate(planner, tensor, name, slope):
    if name in ACROSS_UNITS:
        tensor = planner.expanded(tensor)
    elif not UNIT_WISE[name]:
        tensor = planner.opened(tensor)
        if not tensor.layout.is_complete:
            tensor = planner.expanded(tensor)
    width = tensor.features if name in ACROSS_UNITS else tensor.layout.width
    planner.plan.steps.append(steps.Activate(tensor.buffer, width, name, slope))
    return tensor


def _batch_normalization(planner, layer, tensor):
    if layer.axis not in (-1, len(tensor.positions) + 1):
        raise cannot_run(layer, f" on axis {layer.axis}")
    mean, variance = weight(layer.moving_mean), weight(layer.moving_variance)
    # As Keras does it: scale and shift first, in float32.
    scale = 1.0 / np.sqrt(variance + np.float32(layer.epsilon))
    if layer.gamma is not None:
        scale = scale * weight(layer.gamma)
    shift = -mean * scale
    if layer.beta is not None:
        shift = shift + weight(layer.beta)
    return _affine(planner, tensor, scale, shift)


def _affine(planner, tensor, scale, shift):
    """Add the step that multiplies each feature by a scale and adds a shift."""
    tensor = planner.opened(tensor)
    if not tensor.layout.is_complete:
        tensor = planner.expanded(tensor)
    scale, shift = per_feature(tensor.features, scale, shift)
    planner.plan.steps.append(
        steps.Affine(tensor.buffer, tensor.layout.rows_of(scale), tensor.layout.rows_of(shift))
    )
    return tensor


def per_feature(features, *parameters):
    """Give each of the parameters of a layer as a float32 array of shape `(features,)`."""
    return [
        np.ascontiguousarray(np.broadcast_to(each, (features,)), "float32") for each in parameters
    ]


def _layer_normalization(planner, layer, tensor):
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if list(axes) not in ([-1], [len(tensor.positions) + 1]):
        raise cannot_run(layer, f" on axis {layer.axis}")
    tensor = planner.expanded(tensor)
    ones = np.ones(tensor.features, "float32")
    scale = ones if layer.gamma is None else weight(layer.gamma)
    shift = np.zeros_like(ones) if layer.beta is None else weight(layer.beta)
    planner.plan.steps.append(steps.Normalize(tensor.buffer, scale, shift, float(layer.epsilon)))
    return tensor
