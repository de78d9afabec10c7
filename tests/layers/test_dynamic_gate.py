import numpy as np
import pytest
from harness import check_layer
from keras import ops

import keras_dynamicgate as kdg


@pytest.mark.parametrize("gate", ["static", "linear", "low_rank", "mlp"])
def test_layer_does_what_a_keras_layer_does(gate):
    weights = {"static": 1, "linear": 2, "low_rank": 3, "mlp": 4}[gate]
    check_layer(kdg.DynamicGate, {"gate": gate}, (4, 6), (4, 6), weights, 14)


def test_layer_works_on_tokens():
    arguments = {"gate": "linear", "block_size": 2}
    check_layer(kdg.DynamicGate, arguments, (2, 5, 6), (2, 5, 6), 2, 14)


def test_closed_blocks_are_exactly_zero_and_open_ones_unchanged():
    layer = kdg.DynamicGate(block_size=2)
    layer.build((None, 6))
    layer.gate.network.scaled_bias.assign([1.0, -1.0, 1.0])
    outputs = layer(np.array([[1, 2, 3, 4, 5, 6]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[1, 2, 0, 0, 5, 6]])


def test_input_dependent_gates_differ_from_sample_to_sample():
    layer = kdg.DynamicGate(gate="linear")
    layer.build((None, 2))
    layer.gate.network.kernel.assign([[1, -1], [0, 0]])
    layer.gate.network.scaled_bias.assign([0, 0])
    outputs = layer(np.array([[1, 5], [-1, 5]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[1, 0], [0, 5]])


def test_without_a_gate_the_input_passes():
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(kdg.DynamicGate(gate=None)(x)), x)


def test_block_size_has_to_divide_the_features():
    with pytest.raises(ValueError, match=r"must divide .* 6; these do: \[1, 2, 3, 6\]"):
        kdg.DynamicGate(block_size=4).build((None, 6))


@pytest.mark.parametrize("block_size", [0, -2, 1.5, "auto"])
def test_block_size_has_to_be_a_positive_integer(block_size):
    with pytest.raises(ValueError, match=r"`block_size` must be a positive integer"):
        kdg.DynamicGate(block_size=block_size)


def test_top_k_has_to_fit_the_features():
    with pytest.raises(ValueError, match=r"`top_k` must be at most the number of gates, 3"):
        kdg.DynamicGate(top_k=4).build((None, 3))
