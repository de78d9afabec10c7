"""What `compact` cannot remove is listed, with the reason."""

import keras
import numpy as np
import pytest
from compaction.small_models import STATIC, check_same, scatter, set_gates, units
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact_with_report

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


def entries(report):
    return [(kept.layer, kept.units, kept.because_of, kept.reason) for kept in report.kept]


def test_units_that_a_reshape_puts_beside_open_ones_are_put_back():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGateDense(6, name="gated", **STATIC),
            layers.Reshape((2, 3), name="folding"),
            layers.Dense(1),
        ]
    )
    scatter(model)
    # The third feature is closed at both positions, the first at one of them.
    set_gates(model.layers[0], [0, 1, 0, 1, 1, 0])
    small, report = compact_with_report(model)
    assert units(small) == [3, 1]
    assert small.layers[-1].kernel.shape == (2, 1)
    assert not report.kept
    check_same(model, small)


def test_units_that_a_later_gate_removes_are_not_put_back():
    start = keras.Input((2,))
    one, other = (kdg.DynamicGateDense(3, **STATIC) for _ in range(2))
    gate = kdg.DynamicGate()
    model = keras.Model(start, layers.Dense(1)(gate(layers.Add()([one(start), other(start)]))))
    scatter(model)
    set_gates(one, [1, 0, 0])
    set_gates(other, [1, 1, 1])
    set_gates(gate, [1, 0, 1])
    small, report = compact_with_report(model)
    assert units(small) == [1, 2, 1]
    assert not report.kept
    check_same(model, small)


def test_channels_on_the_first_axis():
    # On a CPU, not every backend runs such a convolution.
    model = keras.Sequential(
        [
            keras.Input((2, 4, 4)),
            kdg.DynamicGateConv2D(3, 2, data_format="channels_first", name="conv", **STATIC),
        ]
    )
    set_gates(model.layers[0], [1, 0, 0])
    small, report = compact_with_report(model)
    assert entries(report) == [("conv", 2, "conv", "its channels are not on the last axis")]
    assert report.still_gated == ["conv"]
    assert small.layers[1].filters == 3


def test_gated_layers_inside_of_a_wrapper():
    gated = kdg.DynamicGateDense(4, name="gated", **STATIC)
    wrapper = layers.TimeDistributed(gated, name="steps")
    model = keras.Sequential([keras.Input((3, 2)), wrapper, layers.Dense(1)])
    scatter(model)
    set_gates(gated, [1, 0, 1, 0])
    small, report = compact_with_report(model)
    reason = "no rule says what a TimeDistributed does to closed units"
    assert entries(report) == [("gated", 2, "steps", reason)]
    check_same(model, small)


def test_a_wrapper_that_is_called_twice_is_listed_once():
    gated = kdg.DynamicGateDense(2, name="gated", **STATIC)
    wrapper = layers.TimeDistributed(gated, name="steps")
    start = keras.Input((3, 2))
    model = keras.Model(start, wrapper(wrapper(start)))
    set_gates(gated, [1, 0])
    reason = "it is called more than once, on different inputs"
    assert entries(compact_with_report(model)[1]) == [("gated", 1, "steps", reason)]


def calibrated(layer, x):
    """Calibrate linear gates on one feature: logits are `x - 1`, `1` and `-1`."""
    model = keras.Sequential([keras.Input((1,)), layer, layers.Dense(1)])
    layer.gate.network.kernel.assign([[1.0, 0.0, 0.0]])
    layer.gate.network.scaled_bias.assign(np.array([-1.0, 1.0, -1.0]) / 10)
    return model, *compact_with_report(model, np.array(x, "float32"))


@pytest.mark.parametrize("kind", [kdg.DynamicGateDense, kdg.DynamicGateMLP])
def test_blocks_that_are_always_open_beside_some_that_are_not(kind):
    arguments = {"gate": "linear", "block_size": 2, "name": "gated"}
    layer = kind(6, **arguments) if kind is kdg.DynamicGateDense else kind(6, 3, **arguments)
    model, small, report = calibrated(layer, [[0.0], [3.0]])
    assert small.layers[1].gate.gates == 2
    ((name, count, because_of, reason),) = entries(report)
    assert (name, count, because_of) == ("gated", 2, "gated")
    assert reason.startswith("always open, but a layer is gated as a whole")


def test_blocks_that_are_not_gated_any_more_are_not_listed():
    layer = kdg.DynamicGateDense(6, gate="linear", block_size=2)
    assert entries(calibrated(layer, [[2.0], [3.0]])[2]) == []


def test_hidden_blocks_of_a_quantized_layer():
    layer = kdg.DynamicGateMLP(6, 3, gate="linear", block_size=2, name="gated")
    layer.build((None, 1))
    layer.hidden_dense.quantize("int8")
    _, small, report = calibrated(layer, [[0.0], [3.0]])
    assert small.layers[1].hidden_units == 6
    assert ("gated", 2, "gated", "it is quantized") in entries(report)
