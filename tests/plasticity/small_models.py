"""Gated models whose gates are known: they open where the first feature is positive, or always."""

import keras
import numpy as np

import keras_dynamicgate as kdg

RANDOM = np.random.default_rng(0)
# The first feature says which of the two an input is.
REFERENCE = np.concatenate([-np.ones((6, 1)), RANDOM.normal(size=(6, 3))], axis=1).astype("float32")
DRIFTED = np.concatenate([np.ones((8, 1)), RANDOM.normal(size=(8, 3))], axis=1).astype("float32")
TARGETS = RANDOM.normal(size=(8, 2)).astype("float32")


def set_gate(layer, by_first_feature):
    """Let the gates of `by_first_feature` open where the first input is positive, the rest always.

    Args:
        layer: A built gated layer with `gate="linear"`.
        by_first_feature: Boolean array of shape `(gates,)`.
    """
    by_first_feature = np.array(by_first_feature, bool)
    network = layer.gate.network
    kernel = np.zeros(network.kernel.shape, "float32")
    kernel[0] = 8.0 * by_first_feature
    network.kernel.assign(kernel)
    network.scaled_bias.assign(np.where(by_first_feature, 0.0, 0.8))


def two_gated_layers():
    """Make a model whose first layer has gates 0 and 1 of 4, and whose block gate 0 of 4, closed
    for the reference; the gates of the block read the model's input by a way of their own."""
    inputs = keras.Input((4,))
    first = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=8, name="first")
    block = kdg.DynamicGateMLP(32, 16, "tanh", gate="linear", block_size=8, name="block")
    hidden = first(inputs)
    hidden = keras.layers.Concatenate()([inputs, hidden])
    outputs = keras.layers.Dense(2, name="head")(block(hidden))
    model = keras.Model(inputs, outputs)
    set_gate(first, [1, 1, 0, 0])
    set_gate(block, [1, 0, 0, 0])
    return model


def numpy(value):
    return keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))
