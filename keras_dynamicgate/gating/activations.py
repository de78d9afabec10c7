"""Activation functions: which of them map each number by itself."""

import keras

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


def is_feature_wise(activation):
    """Tell whether an activation is one of Keras's that maps each number by itself.

    A function of the user's own may mix units, as softmax does, so it does not count.
    """
    name = getattr(activation, "__name__", "")
    return activation is None or (
        name in FEATURE_WISE and getattr(keras.activations, name, None) is activation
    )
