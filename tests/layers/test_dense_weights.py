import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate import load_dense_weights

X = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype("float32")


def model(dense, convolution, gate="static"):
    """Build a model of each kind of layer whose gates, if it has any, are all open."""
    inner = [keras.Input((8,)), dense(8, activation="relu"), layers.BatchNormalization()]
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            convolution(4, 3, use_bias=False),
            layers.GlobalAveragePooling2D(),
            dense(8),
            keras.Sequential(inner, name="inner"),
            kdg.DynamicGate(gate),
            kdg.DynamicGateMLP(8, 8, gate=gate),
            dense(8, lora_rank=2),
            layers.Dense(3),
        ]
    )


def ordinary():
    built = model(layers.Dense, layers.Conv2D, None)
    random = np.random.default_rng(2)
    for weight in built.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return built


def gated(gate="static"):
    return model(
        lambda units, **k: kdg.DynamicGateDense(units, gate=gate, **k),
        lambda *a, **k: kdg.DynamicGateConv2D(*a, gate=gate, **k),
        gate,
    )


@pytest.mark.parametrize("gate", ["static", None])
@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_model_with_open_gates_gives_the_outputs_of_the_one_without(gate, name, tmp_path):
    dense = ordinary()
    (dense.save if name == "model.keras" else dense.save_weights)(tmp_path / name)
    new = gated(gate)
    gates = [ops.convert_to_numpy(weight) for weight in new.weights if "/gate/" in weight.path]
    load_dense_weights(new, tmp_path / name)
    np.testing.assert_allclose(
        new.predict(X, verbose=0), dense.predict(X, verbose=0), rtol=1e-5, atol=1e-4
    )
    after = [ops.convert_to_numpy(weight) for weight in new.weights if "/gate/" in weight.path]
    for old, kept in zip(gates, after, strict=True):
        np.testing.assert_array_equal(kept, old)


def test_file_of_another_model_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((8,)), layers.Dense(8)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="could not be loaded"):
        load_dense_weights(gated(), tmp_path / "other.weights.h5")


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = kdg.DynamicGateDense(8, gate="static")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)


def test_gated_layers_inside_of_other_layers_are_refused_by_name():
    outer = keras.Sequential([keras.Input((8,)), Block(name="block")])
    with pytest.raises(ValueError, match=r"Received: layer 'block' \(Block\)"):
        load_dense_weights(outer, "none.weights.h5")


class Subclassed(keras.Model):
    pass


def test_model_without_a_graph_is_refused():
    with pytest.raises(ValueError, match=r"`model` must be a Sequential or Functional model"):
        load_dense_weights(Subclassed(), "none.weights.h5")
