import numpy as np
import pytest
from harness import check_layer
from keras import ops

import keras_dynamicgate as kdg


@pytest.mark.parametrize("gate", ["static", "low_rank"])
def test_layer_does_what_a_keras_layer_does(gate):
    weights = 4 + {"static": 1, "low_rank": 3}[gate]
    arguments = {"hidden_units": 64, "units": 6, "activation": "gelu", "gate": gate}
    check_layer(kdg.DynamicGateMLP, arguments, (4, 64), (4, 6), weights, 10)


def test_gated_linear_layer_does_what_a_keras_layer_does():
    arguments = {"hidden_units": 64, "units": 6, "activation": "silu", "gated_linear": True}
    check_layer(kdg.DynamicGateMLP, arguments, (2, 3, 64), (2, 3, 6), 9, 10)


def two_units(**arguments):
    """Hidden units x and 2 x, of which the second is closed; the output is their sum."""
    layer = kdg.DynamicGateMLP(2, 1, gate="static", block_size=1, **arguments)
    layer.build((None, 1))
    layer.hidden_dense.kernel.assign([[1.0, 2.0]])
    layer.output_dense.kernel.assign([[1.0], [1.0]])
    layer.gate.network.scaled_bias.assign([1.0, -1.0])
    return layer


def test_closed_hidden_units_add_nothing_to_the_output():
    outputs = two_units(activation="relu")(np.array([[3.0], [-1.0]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[3.0], [0.0]])


def test_gated_linear_hidden_units_are_a_product():
    layer = two_units(activation="relu", gated_linear=True)
    layer.linear_dense.kernel.assign([[5.0, 7.0]])
    outputs = layer(np.array([[3.0]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[45.0]])


def test_block_size_has_to_divide_the_hidden_units():
    with pytest.raises(ValueError, match=r"`block_size` must divide the number of units, 4"):
        kdg.DynamicGateMLP(4, 6, block_size=3)
