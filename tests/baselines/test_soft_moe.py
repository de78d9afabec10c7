import keras
import numpy as np
import pytest
from harness import check_layer
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import SoftMoE


def test_layer_does_what_a_keras_layer_does():
    arguments = {"num_experts": 3, "hidden_units": 8, "units": 5, "activation": "gelu"}
    check_layer(SoftMoE, arguments, (4, 3, 6), (4, 3, 5), 5, 0)


def two_experts(**arguments):
    """Experts that multiply by 10 and by 100; an input of 1 is 3/4 to 1/4 for the first."""
    layer = SoftMoE(2, 1, **arguments)
    layer.build((None, 1))
    layer.router.kernel.assign(np.log([[3.0, 1.0]]))
    layer.hidden_kernel.assign([[[1]], [[1]]])
    layer.output_kernel.assign([[[10]], [[100]]])
    return layer


def test_output_is_the_mean_of_all_experts_weighted_by_the_router():
    outputs = two_experts()(np.array([[1.0], [0.0], [-1.0]], "float32"))
    # The activation closes the hidden units for the last input.
    expected = [[0.75 * 10 + 0.25 * 100], [0], [0]]
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, rtol=1e-6)


def test_samples_do_not_mix():
    layer = SoftMoE(3, 8)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    whole, alone = ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(layer(x[:1]))
    np.testing.assert_allclose(whole[:1], alone, rtol=1e-5, atol=1e-6)


def test_router_stays_float32_in_half_precision():
    keras.config.set_dtype_policy("float16")
    layer = two_experts()
    assert layer.output_kernel.dtype == "float16"
    assert layer.router.kernel.dtype == "float32"
    outputs = layer(np.array([[1.0]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[32.5]])


def test_saved_layer_is_equal_bit_for_bit(tmp_path):
    model = keras.Sequential([keras.Input((6,)), SoftMoE(3, 8), layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_macs_are_those_of_all_experts_and_of_the_router():
    model = keras.Sequential([keras.Input((6,)), SoftMoE(4, 8, 3)])
    report = kdg.count_macs(model)
    assert (report.dense, report.executed, report.gates) == (288, 288, 24)
    assert report.relative == pytest.approx(1 + 24 / 288)


def test_closed_inputs_save_in_the_first_product_and_in_the_router():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(), SoftMoE(2, 3)])
    model.layers[0].gate.network.scaled_bias.assign([1, 1, -1, -1])
    report = kdg.count_macs(model)
    assert (report.executed, report.gates) == (12 + 24, 4)
