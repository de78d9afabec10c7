"""The samples that `compact` judges gates by: what it takes and what it refuses."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact, compact_with_report

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

X = np.array([[1.0], [2.0], [3.0]], "float32")


def two_inputs(structure):
    """Build a model in which gate 0 opens where `one > 0` and gate 1 where `other > 0`."""
    one, other = keras.Input((1,), name="one"), keras.Input((1,), name="other")
    gated = kdg.DynamicGateDense(4, gate="linear", block_size=2)
    joined = layers.Concatenate()([one, other])
    inputs = {"one": one, "other": other} if structure is dict else [one, other]
    model = keras.Model(inputs, layers.Dense(1)(gated(joined)))
    gated.gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    gated.gate.network.scaled_bias.assign([0.0, 0.0])
    return model


def test_lists_of_arrays_go_to_the_inputs_in_their_order():
    small, report = compact_with_report(two_inputs(list), [X, -X])
    # Only the first block opens, for all samples.
    assert [layer.units for layer in small.layers if layer.weights] == [2, 1]
    assert (report.calibration_samples, report.still_gated) == (3, [])


def test_dicts_of_arrays_go_to_the_inputs_by_name():
    model = two_inputs(dict)
    small = compact(model, {"other": X, "one": -X})
    outputs = [each({"one": -X, "other": X}, training=False) for each in (model, small)]
    np.testing.assert_allclose(*map(ops.convert_to_numpy, outputs), rtol=1e-5, atol=1e-6)
    gated = next(layer for layer in model.layers if isinstance(layer, kdg.DynamicGateDense))
    kernel = small.get_layer(gated.name).kernel
    np.testing.assert_array_equal(*(ops.convert_to_numpy(k) for k in (kernel, gated.kernel[:, 2:])))


def single_input():
    gated = kdg.DynamicGateDense(4, gate="linear", block_size=2, name="gated")
    return keras.Sequential([keras.Input((1,)), gated, layers.Dense(1)])


def test_samples_that_no_gate_can_be_decided_for_are_refused():
    x = X.copy()
    x[2] = np.nan
    with pytest.raises(ValueError, match="`x_calibration` .*: sample 2 holds NaN and so"):
        compact(single_input(), x, batch_size=2)


def test_what_is_no_array_is_refused():
    with pytest.raises(ValueError, match=r"must be an array or a list or dict .*: x_cal.* float"):
        compact(single_input(), X.tolist())


def test_arrays_of_unequal_length_are_refused():
    with pytest.raises(
        ValueError, match="as many samples for each input.* Received: .* 2, 3 samples"
    ):
        compact(two_inputs(list), [X, X[:2]])


@pytest.mark.parametrize("arrays", [[], [X], [X, X, X]])
def test_an_array_for_each_input_is_needed(arrays):
    with pytest.raises(ValueError, match=r"`x_calibration` must hold an array for each input"):
        compact(two_inputs(list), arrays)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "8"])
def test_batch_size_must_be_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match="Argument `batch_size` must be a positive integer"):
        compact(single_input(), X, batch_size=batch_size)


def test_a_floor_keeps_as_many_gates_open_as_before():
    gated = kdg.DynamicGateDense(100, gate="linear", block_size=1, min_open=0.07, initial_open=0.01)
    model = keras.Sequential([keras.Input((3,)), gated, layers.Dense(2)])
    random = np.random.default_rng(0)
    gated.gate.network.kernel.assign(random.normal(size=(3, 100)))
    gated.gate.network.scaled_bias.assign([-10.0] * 100)
    x = random.normal(size=(5, 3)).astype("float32")
    small = compact(model, x)
    # Only the floor is open, 7 gates a sample: what is left has at most 35 of the 100.
    assert 7 < small.layers[1].units <= 35
    outputs = [ops.convert_to_numpy(each(x, training=False)) for each in (model, small)]
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
