import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg


@pytest.fixture(scope="session")
def x():
    return np.random.default_rng(0).normal(size=(8, 64)).astype("float32")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A file with a model of 4,352 MACs: 64 * 64 + 64 * 4, half open, and 136 more of gates."""
    gated = kdg.DynamicGateDense(64, "relu", gate=kdg.LowRankGate(2), block_size=16, top_k=2)
    model = keras.Sequential([keras.Input((64,)), gated, keras.layers.Dense(4)])
    path = tmp_path_factory.mktemp("models") / "model.keras"
    model.save(path)
    return str(path)


@pytest.fixture(scope="session")
def data_file(tmp_path_factory, x):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, x)
    return str(path)
