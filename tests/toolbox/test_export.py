import exports
import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg

X = np.random.default_rng(0).normal(size=(5, 4, 4, 3)).astype("float32")


def gated_model():
    """A model with every gated layer; for the samples of `X` some gates are open, some closed."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            kdg.DynamicGateConv2D(8, 3, activation="relu", gate="linear", block_size=2),
            keras.layers.Flatten(),
            kdg.DynamicGate(),
            kdg.DynamicGateDense(16, activation="relu", gate="linear", block_size=4),
            kdg.DynamicGateMLP(16, 8, "gelu", gate="linear", block_size=4, gated_linear=True),
            keras.layers.Dense(3),
        ]
    )
    random = np.random.default_rng(1)
    for layer in model.layers:
        if getattr(layer, "gate", None) is not None:
            bias = layer.gate.network.scaled_bias
            bias.assign(random.normal(scale=0.1, size=bias.shape))
    return model


@pytest.mark.parametrize("name", exports.FORMATS)
def test_masked_models_export_with_the_same_outputs(name, tmp_path):
    model = gated_model()
    assert 0.2 < kdg.count_macs(model, X).open_ratio < 0.8
    expected = ops.convert_to_numpy(model(X, training=False))
    np.testing.assert_allclose(exports.outputs(name, model, tmp_path, X), expected, atol=1e-5)


@keras.saving.register_keras_serializable(package="test_export")
class FeedForward(keras.layers.Layer):
    """A residual feed-forward block, as transformers have it."""

    def build(self, input_shape):
        self.wide = keras.layers.Dense(16, "relu", name="wide")
        self.wide.build(input_shape)
        self.narrow = keras.layers.Dense(input_shape[-1], name="narrow")
        self.narrow.build((*input_shape[:-1], 16))

    def call(self, x):
        return x + self.narrow(self.wide(x))

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")
@pytest.mark.parametrize("name", exports.FORMATS)
def test_gates_inside_composite_layers_export_with_the_same_outputs(name, tmp_path):
    inputs = keras.Input((4, 3))
    outputs = keras.layers.Dense(2)(FeedForward(name="block")(inputs))
    model = kdg.gate_model(keras.Model(inputs, outputs), gate="linear", block_size=4)
    network = model.get_layer("block").composite.wide.gate.network
    network.kernel.assign(np.random.default_rng(1).normal(size=(3, 4)))
    network.scaled_bias.assign(np.zeros(4))
    x = X[:, 0]
    assert 0.2 < kdg.count_macs(model, x).open_ratio < 0.8
    expected = ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(exports.outputs(name, model, tmp_path, x), expected, atol=1e-5)
