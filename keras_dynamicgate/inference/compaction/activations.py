"""Activation functions: which map each number by itself, and their values."""

import keras
import numpy as np
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
ACROSS_UNITS = "its activation works across units or is not one of Keras's"


def is_feature_wise(activation):
    """Tell whether an activation is one of Keras's that maps each number by itself.

    A function of the user's own may mix units, as softmax does, so it does not count.
    """
    name = getattr(activation, "__name__", "")
    return activation is None or (
        name in FEATURE_WISE and getattr(keras.activations, name, None) is activation
    )


def image(activation, row):
    """Give the values of an activation on an array, as an array of float64."""
    if activation is None:
        return row
    values = activation(ops.convert_to_tensor(np.asarray(row, "float32")))
    return ops.convert_to_numpy(values).astype("float64")
