"""Compacted models saved, exported and quantized, wherever Keras and its backend can do that."""

import os
import subprocess
import sys
import warnings

import exports
import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact, compact_with_report

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")

LOAD_WITHOUT_THE_PACKAGE = """
import sys
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[2], keras.ops.convert_to_numpy(model(np.load(sys.argv[2]), training=False)))
assert "keras_dynamicgate" not in sys.modules
"""


def chain():
    """A model with a take, a folded constant, a removed unit and one that stays."""
    start = keras.Input((6,), name="x")
    hidden = kdg.DynamicGate()(start)
    hidden = kdg.DynamicGateDense(8, "sigmoid", gate="static", block_size=2)(hidden)
    branch = kdg.DynamicGateDense(8, "relu", gate="static", block_size=2)(hidden)
    hidden = layers.BatchNormalization()(layers.Add()([hidden, branch]))
    model = keras.Model(start, layers.Dense(3)(hidden))
    return compacted(model, [1, 1, 0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1])


def sequence():
    """A model that takes features of every position of a sequence."""
    gated = kdg.DynamicGateDense(4, "relu", gate="static", block_size=2)
    stack = [layers.Rescaling(0.5), kdg.DynamicGate(), gated, layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((3, 4), name="x"), *stack])
    return compacted(model, [1, 0, 0, 1], [0, 1])


def image():
    """A model that takes channels of an image and removes channels of a convolution."""
    gated = kdg.DynamicGateConv2D(4, 2, activation="relu", gate="static", block_size=1)
    stack = [kdg.DynamicGate(), gated, layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((5, 5, 3), name="x"), *stack])
    return compacted(model, [1, 0, 1], [1, 0, 0, 1])


def compacted(model, *masks):
    """Set the gates of a model with random weights and compact it."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    gates = [layer for layer in model.layers if getattr(layer, "gate", None) is not None]
    for layer, is_open in zip(gates, masks, strict=True):
        layer.gate.network.scaled_bias.assign(np.array(is_open) - 0.5)
    small = compact(model)
    x = inputs_of(model)
    np.testing.assert_allclose(run(small, x), run(model, x), atol=1e-5)
    assert any(type(operation).__name__ == "Take" for operation in small.operations)
    return small


@pytest.fixture
def small():
    return chain()


def inputs_of(model):
    return np.random.default_rng(0).normal(size=(5, *model.input_shape[1:])).astype("float32")


def run(model, x=X):
    return ops.convert_to_numpy(model(x, training=False))


@pytest.mark.one_backend("torch")
def test_a_saved_model_loads_without_this_package(small, tmp_path):
    path, data = str(tmp_path / "small.keras"), str(tmp_path / "data.npy")
    small.save(path)
    np.save(data, X)
    command = [sys.executable, "-c", LOAD_WITHOUT_THE_PACKAGE, path, data]
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    np.testing.assert_allclose(np.load(data), run(small), atol=1e-6)


def test_weights_quantize_to_int8(small):
    before = run(small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        small.quantize("int8")
    assert {layer.quantization_mode for layer in small.layers if type(layer) is layers.Dense} == {
        "int8"
    }
    assert np.abs(run(small) - before).max() < 0.1 * np.abs(before).max()


@pytest.mark.parametrize("gate", ["static", "linear"])
def test_quantized_layers_stay_as_they_are(gate):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            kdg.DynamicGateDense(16, "relu", gate=gate, block_size=8),
            kdg.DynamicGate(),
            layers.Dense(3),
        ]
    )
    model.layers[1].gate.network.scaled_bias.assign([1.0, -1.0] * 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        model.quantize("int8")
    assert model.layers[0].dense.quantization_mode == "int8"
    small, report = compact_with_report(model)
    assert "it is quantized" in [kept.reason for kept in report.kept]
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


@pytest.mark.parametrize("build", [chain, sequence, image])
@pytest.mark.parametrize("name", exports.FORMATS)
def test_exports_give_the_same_outputs(name, build, tmp_path):
    small = build()
    x = inputs_of(small)
    expected = run(small, x)
    np.testing.assert_allclose(exports.outputs(name, small, tmp_path, x), expected, atol=1e-5)
