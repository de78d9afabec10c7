"""Activation functions: which of them map each number by itself."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

FEATURE_WISE = (
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "softplus",
    "softsign",
    "exponential",
    "log_sigmoid",
    "squareplus",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "threshold",
    "sparse_plus",
    "sparse_sigmoid",
)

# Layers without weights that may be activations of other layers.
ACTIVATION_LAYERS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)

# Operations of `keras.ops` that map numbers one by one; Keras keeps their classes private.
ELEMENT_WISE = frozenset(
    """
    Abs Absolute Add Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Cast Cbrt Ceil Celu
    Clip ConvertToTensor Cos Cosh Deg2rad Divide DivideNoNan Elu Erf Erfc Erfinv Exp Exp2 Expm1
    Fabs Floor Fmax Fmin Fmod Gelu HardShrink HardSigmoid HardSilu HardTanh Heaviside Hypot
    LeakyRelu Log Log10 Log1p Log2 LogSigmoid Logaddexp Logaddexp2 Maximum Minimum Multiply
    NanToNum Negative Power Rad2deg Reciprocal Relu Relu6 Round Rsqrt SaturateCast Selu Sigmoid
    Sign Silu Sin Sinc Sinh SoftShrink Softplus Softsign SparsePlus SparseSigmoid Sqrt Square
    Squareplus StopGradient Subtract Tan Tanh TanhShrink Threshold TrueDivide Trunc
    """.split()  # noqa: SIM905
)


def is_feature_wise(activation: Any) -> bool:
    """Tell whether an activation maps each number by itself, and all numbers alike.

    Keras's own activations are known, among them the layers `ReLU`, `LeakyReLU`, `ELU` and
    `Activation`. Any other function must consist of operations of `keras.ops` that do so, since it
    may otherwise mix units, as softmax does.
    """
    if activation is None or type(activation) in ACTIVATION_LAYERS:
        return True
    if type(activation) is keras.layers.Activation:
        return is_feature_wise(activation.activation)
    name = getattr(activation, "__name__", "")
    if getattr(keras.activations, name, None) is activation:
        return name in FEATURE_WISE
    return _is_made_of_element_wise(activation)


def keeps_zero(activation: Any) -> bool:
    """Tell whether an activation that maps each number by itself turns 0 into 0."""
    return activation is None or not ops.convert_to_numpy(activation(ops.zeros((1,))))[0]


def is_element_wise(operation: keras.Operation) -> bool:
    """Tell whether a Keras operation maps the numbers of its inputs one by one."""
    return type(operation).__module__.startswith("keras.") and (
        type(operation).__name__ in ELEMENT_WISE
    )


def _is_made_of_element_wise(function: Callable[..., Any]) -> bool:
    if isinstance(function, keras.layers.Layer):  # A call would build it.
        return False
    tensor = keras.KerasTensor((1, 2))
    try:
        pending = [function(tensor)]
    except Exception:
        # Functions of other libraries may raise any error on a tensor without values.
        return False
    while pending:
        each = pending.pop()
        if each is tensor:
            continue
        if not isinstance(each, keras.KerasTensor):
            # A constant. One for each unit would treat the units differently.
            if math.prod(getattr(each, "shape", ())) != 1:
                return False
            continue
        history = each._keras_history
        if not is_element_wise(history.operation) or each.shape != tensor.shape:
            return False
        node = history.operation._inbound_nodes[history.node_index]
        pending += keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    return True
