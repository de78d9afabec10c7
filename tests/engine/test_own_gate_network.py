"""Gate networks of a user's own in the engine: a chain of affine maps is enough."""

import keras
import numpy as np
import pytest
from gating.own_network import HiddenTanh

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine

pytest.importorskip("numba")
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")


def model_with(network):
    layer = kdg.DynamicGateDense(32, "relu", gate=network, block_size=8)
    model = keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(3)])
    layer.gate.network.scaled_bias.assign([0.1, -0.1, 0.0, -0.2])
    layer.gate.price.assign(0.1)
    return model


def test_a_chain_runs_with_the_masks_of_the_model():
    model = model_with(HiddenTanh())
    x = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    outputs = InferenceEngine(model, threads=1).predict(x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Norm(HiddenTanh):
    """Logits that grow with the input: no chain of affine maps."""

    def chain(self):
        return None

    def products(self, shape, inputs_open):
        return []

    def call(self, inputs):
        return keras.ops.norm(inputs, axis=-1, keepdims=True) + self.bias


def test_a_network_without_a_chain_is_refused_by_name():
    with pytest.raises(ValueError, match=r"gate network Norm is no `chain` of affine maps"):
        InferenceEngine(model_with(Norm()))
