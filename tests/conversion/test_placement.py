import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg


def types(model):
    return [type(layer).__name__ for layer in model.layers]


def inverted_residual():
    """Build an expanding, a depthwise and a projecting convolution, then a head."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(6, 1, use_bias=False, name="expand"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(3, 1, activation="relu", name="project"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def test_static_gate_stands_behind_the_depthwise_convolution_and_its_activation():
    gated = kdg.gate_model(inverted_residual(), gate="static", block_size=1)
    assert types(gated)[5:8] == ["ReLU", "DynamicGate", "DynamicGateConv2D"]
    assert type(gated.get_layer("expand")) is layers.Conv2D
    assert gated.get_layer("expand_gate").gate.gates == 6


def test_input_dependent_gate_stands_in_its_layer():
    gated = kdg.gate_model(inverted_residual(), gate="linear", block_size=1)
    assert types(gated)[0] == "DynamicGateConv2D"


def test_closed_channels_leave_all_convolutions_around_them():
    gated = kdg.gate_model(inverted_residual(), layers="expand", gate="static", block_size=1)
    gated.get_layer("expand_gate").gate.network.scaled_bias.assign([1, -1, -1, 1, -1, -1])
    # Two of six channels: 16 positions x 2 x 2, 16 x 9 x 2, 16 x 2 x 3.
    executed = [layer.executed for layer in kdg.count_macs(gated).layers if layer.dense]
    assert executed == pytest.approx([64, 288, 96, 6])
    small = kdg.compact(gated)
    assert kdg.count_macs(small).dense == 64 + 288 + 96 + 6
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    np.testing.assert_allclose(small.predict(x), gated.predict(x), atol=1e-6)


def test_gate_does_not_cross_what_another_layer_reads():
    inputs = keras.Input((4, 4, 2))
    conv = layers.Conv2D(4, 1, name="conv")(inputs)
    normalised = layers.BatchNormalization(name="norm")(conv)
    both = layers.Concatenate()([normalised, layers.ReLU()(normalised)])
    model = keras.Model(inputs, layers.Conv2D(1, 1)(both))
    gated = kdg.gate_model(model, gate="static")
    assert types(gated)[1:4] == ["Conv2D", "BatchNormalization", "DynamicGate"]


def test_activation_that_several_layers_share_gets_a_gate_for_each():
    relu = layers.ReLU()
    inputs = keras.Input((4, 4, 2))
    tensor = inputs
    for name in ("one", "two"):
        tensor = layers.Conv2D(4, 1, name=name)(tensor)
        tensor = relu(layers.BatchNormalization()(tensor))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(tensor))
    gated = kdg.gate_model(model, gate="static")
    names = [layer.name for layer in gated.layers if type(layer) is kdg.DynamicGate]
    assert names == ["one_gate", "two_gate"]
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    np.testing.assert_allclose(gated.predict(x), model.predict(x), atol=1e-6)


def test_gate_of_a_frozen_layer_is_frozen():
    model = inverted_residual()
    model.get_layer("expand").trainable = False
    gated = kdg.gate_model(model, gate="static")
    assert not gated.get_layer("expand_gate").trainable_weights


def test_arguments_of_gates_that_stand_apart_are_checked():
    with pytest.raises(ValueError, match="Layer 'expand' cannot be gated like this.*block_size"):
        kdg.gate_model(inverted_residual(), gate="static", block_size=5)
    with pytest.raises(ValueError, match="initial_open"):
        kdg.gate_model(inverted_residual(), gate="static", initial_open=0.4)
