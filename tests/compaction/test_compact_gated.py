"""`compact` on gates that depend on the input, with and without calibration."""

import keras
import numpy as np
import pytest
from gating.own_network import HiddenTanh
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact, compact_with_report
from keras_dynamicgate.layers.gated_layer import GatedLayer

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

X = np.array([[1.0, 2.0], [2.0, 1.0], [0.5, 3.0]], "float32")


def gated_model(layer):
    """Build a model around a layer with linear gates: open where `x @ kernel + bias > 0`."""
    model = keras.Sequential([keras.Input((2,)), layer, layers.Dense(2)])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) and weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape))
    # On `X`: never, where x0 > x1, always.
    layer.gate.network.kernel.assign([[-1.0, 1, 1], [-1, -1, 1]])
    layer.gate.network.scaled_bias.assign([0.0, 0, 0])
    return model


def run(model, x=X):
    return ops.convert_to_numpy(model(x, training=False))


def test_input_dependent_gates_stay():
    model = gated_model(kdg.DynamicGateDense(6, gate="linear", block_size=2))
    small, report = compact_with_report(model)
    assert report.still_gated == [model.layers[0].name]
    assert report.calibration_samples is None
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


def test_a_model_and_its_compact_copy_predict_in_turn():
    model = gated_model(kdg.DynamicGateDense(6, gate="linear", block_size=2))
    small = compact(model)
    for _ in range(2):
        outputs = model.predict(X, verbose=0)
        np.testing.assert_allclose(small.predict(X, verbose=0), outputs, atol=1e-5)


def test_blocks_that_never_open_go_with_calibration():
    model = gated_model(kdg.DynamicGateDense(6, gate="linear", block_size=2))
    small, report = compact_with_report(model, X)
    assert small.layers[1].units == 4
    assert small.layers[1].gate.gates == 2
    assert "3 samples" in str(report)
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


def test_a_layer_whose_gates_never_change_is_not_gated_any_more():
    model = gated_model(kdg.DynamicGateDense(6, gate="linear", block_size=2))
    model.layers[0].gate.network.scaled_bias.assign([-9.0, 9.0, 9.0])
    small, report = compact_with_report(model, X)
    assert report.still_gated == []
    assert type(small.layers[1]) is layers.Dense
    assert small.layers[1].units == 4
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


@pytest.mark.parametrize("gated_linear", [False, True])
def test_hidden_blocks_of_an_mlp_that_never_open_go(gated_linear):
    model = gated_model(
        kdg.DynamicGateMLP(6, 3, gate="linear", block_size=2, gated_linear=gated_linear)
    )
    small = compact(model, X)
    assert small.layers[1].hidden_units == 4
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


def test_the_loras_of_an_mlp_are_merged():
    layer = kdg.DynamicGateMLP(6, 3, gate="linear", block_size=2, lora_rank=1)
    model = gated_model(layer)
    for dense in layer.dense_layers:
        # Otherwise 0, so that a LoRA changes nothing at first.
        dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    small = compact(model, X)
    assert [dense.lora_rank for dense in small.layers[1].dense_layers] == [None, None]
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


@pytest.mark.parametrize("choice", [{"top_k": 2}, {"min_open": 0.5}])
def test_gates_that_compete_still_do(choice):
    layer = kdg.DynamicGateDense(8, gate="linear", block_size=2, **choice)
    model = keras.Sequential([keras.Input((2,)), layer, kdg.DynamicGate(), layers.Dense(2)])
    # Logits on `X`, in its order: (-9, -1, 1, -1.5), (-9, 1, -1, -1.5), (-9, -2.5, 2.5, -1.5).
    layer.gate.network.kernel.assign([[0.0, 1, -1, 0], [0, -1, 1, 0]])
    layer.gate.network.scaled_bias.assign([-0.9, 0.0, 0.0, -0.15])
    # The block of the third gate is not needed, but when it opens, another one does not.
    model.layers[1].gate.network.scaled_bias.assign([1.0, 1, 1, 1, -1, -1, 1, 1])
    small = compact(model, X)
    assert small.layers[1].units == 6
    np.testing.assert_allclose(run(small), run(model), atol=1e-5)


@pytest.mark.parametrize("network", ["linear", "low_rank", "mlp", HiddenTanh()], ids=str)
def test_closed_inputs_of_a_gated_layer_fold_into_its_gates(network):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGate(),
            layers.Activation("sigmoid"),
            kdg.DynamicGateDense(6, gate=network, block_size=2),
            kdg.DynamicGateMLP(6, 4, gate=network, block_size=2),
            kdg.DynamicGate(),
            layers.Dense(2),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) and weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape))
    for layer in model.layers[2:4]:
        layer.gate.network.scaled_bias.assign([0.0, 0, 0])
    model.layers[0].gate.network.scaled_bias.assign([1.0, -1, 1, -1])
    model.layers[4].gate.network.scaled_bias.assign([1.0, -1, 1, -1])
    x = rng.normal(size=(64, 4))
    small = compact(model)
    assert [layer.name for layer in small.layers if isinstance(layer, GatedLayer)] == [
        model.layers[2].name,
        model.layers[3].name,
    ]
    assert small.get_layer(model.layers[2].name).kernel.shape == (2, 6)
    assert small.get_layer(model.layers[3].name).units == 2
    np.testing.assert_allclose(run(small, x), run(model, x), atol=1e-5)


def test_calibration_needs_samples():
    model = gated_model(kdg.DynamicGateDense(6, gate="linear", block_size=2))
    with pytest.raises(ValueError, match="`x_calibration` must hold at least one sample"):
        compact(model, X[:0])


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_channels_go_from_convolutions_whose_gates_depend_on_the_input(padding):
    model = keras.Sequential(
        [
            keras.Input((3, 3, 4)),
            kdg.DynamicGate(),
            layers.Activation("sigmoid"),
            kdg.DynamicGateConv2D(6, 2, padding=padding, gate="linear", block_size=2),
            kdg.DynamicGate(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) and weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape))
    model.layers[0].gate.network.scaled_bias.assign([1.0, -1, 1, -1])
    model.layers[3].gate.network.scaled_bias.assign([1.0, -1, -1, -1, 1, 1])
    model.layers[2].gate.network.scaled_bias.assign([0.0, 0, 0])
    x = rng.normal(size=(64, 3, 3, 4))
    small, report = compact_with_report(model)
    (layer,) = (layer for layer in small.layers if isinstance(layer, GatedLayer))
    assert report.still_gated == [layer.name] == [model.layers[2].name]
    # sigmoid(0) = 1/2 goes into the bias, but not beside the zeros of a padding.
    assert tuple(layer.kernel.shape) == (2, 2, 2 if padding == "valid" else 4, 4)
    np.testing.assert_allclose(run(small, x), run(model, x), atol=1e-5)


def test_convolution_whose_gates_never_change_is_not_gated_any_more():
    layer = kdg.DynamicGateConv2D(6, 1, gate="linear", block_size=2)
    model = keras.Sequential([keras.Input((2, 2, 2)), layer, layers.Flatten(), layers.Dense(1)])
    layer.gate.network.scaled_bias.assign([-9.0, 9.0, 9.0])
    x = np.random.default_rng(0).normal(size=(5, 2, 2, 2)).astype("float32")
    small, report = compact_with_report(model, x)
    assert (report.still_gated, small.layers[1].filters) == ([], 4)
    np.testing.assert_allclose(run(small, x), run(model, x), atol=1e-5)
