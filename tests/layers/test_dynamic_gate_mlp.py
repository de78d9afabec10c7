import keras
import numpy as np
import pytest
from harness import check_layer
from keras import ops

import keras_dynamicgate as kdg


@pytest.mark.parametrize("gate", ["static", "low_rank"])
def test_layer_does_what_a_keras_layer_does(gate):
    weights = 4 + {"static": 1, "low_rank": 3}[gate]
    arguments = {"hidden_units": 64, "units": 6, "activation": "gelu", "gate": gate}
    check_layer(kdg.DynamicGateMLP, arguments, (4, 64), (4, 6), weights, 14)


def test_gated_linear_layer_does_what_a_keras_layer_does():
    arguments = {"hidden_units": 64, "units": 6, "activation": "silu", "gated_linear": True}
    check_layer(kdg.DynamicGateMLP, arguments, (2, 3, 64), (2, 3, 6), 9, 14)


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


def test_low_rank_adaptation_adds_to_each_kernel_by_its_scale():
    # Hidden units x (1 + 6 * 1) and x (2 + 6 * 1): a LoRA of ones on the hidden kernel, 12 / 2.
    layer = two_units(activation="relu")
    layer.enable_lora(2, lora_alpha=12)
    layer.gate.network.scaled_bias.assign([1.0, 1.0])
    layer.hidden_dense.lora_kernel_a.assign([[1.0, 0.0]])
    layer.hidden_dense.lora_kernel_b.assign([[1.0, 1.0], [0.0, 0.0]])
    outputs = ops.convert_to_numpy(layer(np.array([[3.0]], "float32")))
    np.testing.assert_array_equal(outputs, [[21.0 + 24.0]])
    assert [dense.lora_rank for dense in layer.dense_layers] == [2, 2]
    assert not layer.hidden_dense._kernel.trainable


def enable_all(layer):
    layer.enable_lora(2, lora_alpha=6)


def enable_one(layer):
    layer.linear_dense.enable_lora(3)


@pytest.mark.parametrize(
    ("enable", "rank", "alpha"),
    [(enable_all, 2, 6), (enable_one, [None, 3, None], [None, 3, None])],
)
def test_low_rank_adaptation_survives_saving_and_cloning(enable, rank, alpha, tmp_path):
    layer = kdg.DynamicGateMLP(64, 6, gated_linear=True)
    model = keras.Sequential([keras.Input((64,)), layer])
    enable(layer)
    assert (layer.get_config()["lora_rank"], layer.get_config()["lora_alpha"]) == (rank, alpha)
    for weight in layer.weights:
        if "lora" in weight.name:
            weight.assign(np.ones(weight.shape))
    x = np.ones((1, 64), "float32")
    expected = ops.convert_to_numpy(model(x))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(clone(x)), expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # A file holds the merged kernel.
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), expected, rtol=1e-5)
    assert loaded.layers[0].get_config() == layer.get_config()


def test_as_many_low_rank_adaptations_as_kernels_are_given():
    with pytest.raises(ValueError, match=r"`lora_rank` .* a list of 2, .*lora_rank=\[1, 2, 3\]"):
        kdg.DynamicGateMLP(64, 6, lora_rank=[1, 2, 3])
