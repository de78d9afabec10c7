import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import saved_model

import keras_dynamicgate as kdg

BACKENDS = ("tensorflow", "jax", "torch")


def outputs(model):
    return model.predict(saved_model.X, verbose=0)


def test_keras_file_gives_a_model_that_is_equal_bit_for_bit(tmp_path):
    model = saved_model.build()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_file_gives_a_model_that_is_equal_bit_for_bit(tmp_path):
    model = saved_model.build()
    model.save_weights(tmp_path / "model.weights.h5")
    other = saved_model.build()
    for weight in other.weights:
        weight.assign(weight * 0 + 0.1)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(outputs(other), outputs(model))


def test_quantized_model_survives_saving(tmp_path):
    model = saved_model.build()
    for layer in model.layers:
        for dense in getattr(layer, "dense_layers", []):
            dense.quantize("int8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(loaded), outputs(model))


def test_older_files_say_in_the_build_config_how_inner_layers_are_quantized():
    layer = kdg.DynamicGateMLP(64, 6)
    policy = keras.dtype_policies.serialize(keras.dtype_policies.get("int8_from_float32"))
    layer.build_from_config({"input_shape": (None, 64), "dense_dtype_policies": [policy] * 2})
    assert [dense.quantization_mode for dense in layer.dense_layers] == ["int8"] * 2
    assert layer.hidden_dense._kernel.dtype == "int8"


def test_file_saved_on_another_backend_gives_the_same_outputs_on_this_one(tmp_path):
    # One other each; `tests/golden` holds files of all backends for all backends.
    backend = BACKENDS[BACKENDS.index(keras.backend.backend()) - 1]
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path = str(tmp_path / "model.keras")
    root = str(pathlib.Path(__file__).parents[2])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": root}
    subprocess.run([sys.executable, saved_model.__file__, path], env=environment, check=True)
    loaded = keras.saving.load_model(path)
    expected = np.load(path + ".npz")
    np.testing.assert_allclose(outputs(loaded), expected["outputs"], atol=1e-5)
    for name, mask in saved_model.masks(loaded).items():
        np.testing.assert_array_equal(mask, expected[name])
        assert 0 < mask.mean() < 1
