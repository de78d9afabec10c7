"""The engine in threads and in forked and spawned processes gives what `predict` gives.

It does not depend on the backend, so one is enough: PyTorch, whose processes can be forked.
"""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.engine import engine as engine_module

pytestmark = [
    pytest.mark.one_backend("torch"),
    pytest.mark.filterwarnings("ignore:The gate network of layer"),
]

X = np.random.default_rng(0).normal(size=(16, 32, 16)).astype("float32")


@pytest.fixture(scope="module")
def model():
    gated = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=4, top_k=3)
    return keras.Sequential([keras.Input((16,)), gated, keras.layers.Dense(4)])


@pytest.fixture(scope="module")
def answers(model):
    return model.predict(X.reshape(-1, 16), verbose=0).reshape(16, 32, 4)


@pytest.fixture
def numpy_engine(model, monkeypatch):
    find = engine_module.importlib.util.find_spec
    monkeypatch.setattr(
        engine_module.importlib.util,
        "find_spec",
        lambda name: None if name == "numba" else find(name),
    )
    with pytest.warns(UserWarning, match="keras-dynamicgate\\[engine\\]"):
        return kdg.InferenceEngine(model)


def test_numpy_engine_is_right_in_many_threads_at_once(numpy_engine, answers):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(numpy_engine.predict, [*X] * 20))
    np.testing.assert_allclose(found, np.tile(answers, (20, 1, 1)), atol=1e-5)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_numpy_engine_is_right_in_other_processes(numpy_engine, answers, method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.map(numpy_engine.predict, X)
    np.testing.assert_allclose(found, answers, atol=1e-5)


def test_compiled_engine_is_right_in_a_forked_process_and_in_this_one(model, answers):
    pytest.importorskip("numba")
    engine = kdg.InferenceEngine(model)
    for _ in range(2):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(engine.predict, X)
        np.testing.assert_allclose(found, answers, atol=1e-5)
        np.testing.assert_allclose([engine.predict(x) for x in X], answers, atol=1e-5)
