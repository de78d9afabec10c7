"""Memory of an engine over many calls, and what other threads do meanwhile."""

import sys
import threading
import time

import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.engine.layer_steps import weight

pytest.importorskip("numba")
# The networks are too small for gates to pay.
pytestmark = [
    pytest.mark.one_backend("torch"),
    pytest.mark.filterwarnings("ignore:The gate network of layer"),
]


def test_weights_are_packed_without_another_copy_of_them():
    kernel = keras.Variable(np.ones((64, 64), "float32"))
    assert np.shares_memory(weight(kernel), weight(kernel))


def test_sequences_of_many_lengths_share_one_workspace():
    keras.utils.set_random_seed(0)
    gated = kdg.DynamicGateDense(16, "relu", gate="linear", block_size=8)
    model = keras.Sequential([keras.Input((None, 4)), gated, layers.Dense(3)])
    engine = InferenceEngine(model, threads=1)
    longest = np.random.default_rng(0).normal(size=(3, 40, 4)).astype("float32")
    expected = engine.predict(longest)
    np.testing.assert_allclose(expected, model.predict(longest, verbose=0), rtol=1e-5, atol=1e-5)
    workspace = engine.memory()["workspace"]
    for length in range(40, 0, -1):
        outputs = engine.predict(longest[:, :length])
        np.testing.assert_allclose(outputs, expected[:, :length], rtol=1e-5, atol=1e-6)
    assert engine.memory()["workspace"] == workspace


@pytest.mark.parametrize("count", [1, 3, 200])
def test_a_flatten_keeps_the_positions_of_a_sample_together(count):
    keras.utils.set_random_seed(0)
    gated = kdg.DynamicGateDense(8, "relu", gate="linear", block_size=4)
    model = keras.Sequential([keras.Input((7, 4)), gated, layers.Flatten(), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(count, 7, 4)).astype("float32")
    outputs = InferenceEngine(model, threads=2).predict(x)
    np.testing.assert_allclose(outputs, model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.fixture
def no_forced_switches():
    """Let threads run Python only when another one gives up the interpreter by itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


def test_other_threads_run_python_while_an_engine_predicts(no_forced_switches):
    block = kdg.DynamicGateMLP(1024, 512, gate="linear", block_size=128)
    engine = InferenceEngine(keras.Sequential([keras.Input((512,)), block]), threads=1)
    x = np.ones((2048, 512), "float32")
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)  # gives up the interpreter

    counter = threading.Thread(target=count)
    counter.start()
    try:
        before = counted[0]
        engine.predict(x)
        during = counted[0] - before
    finally:
        stop.set()
        counter.join()
    assert during > 0
