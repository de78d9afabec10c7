"""What the engine takes and refuses: inputs, layers, threads, memory."""

import subprocess
import sys
import threading
import tracemalloc

import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine

pytest.importorskip("numba")
# The networks are too small for gates to pay.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGateDense(128, "relu", gate="linear", block_size=16, top_k=3),
            layers.Dense(10),
        ]
    )


@pytest.fixture(scope="module")
def engine(model):
    return InferenceEngine(model, threads=2)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(6, 64)).astype("float32")


def test_an_empty_batch_gives_an_empty_output(engine):
    assert engine.predict(np.zeros((0, 64))).shape == (0, 10)


def test_inputs_that_are_not_contiguous_give_the_same(engine, x):
    wide = np.repeat(x, 2, axis=1)
    assert np.array_equal(engine.predict(wide[:, ::2]), engine.predict(x))
    assert np.array_equal(engine.predict(np.asfortranarray(x)), engine.predict(x))


def test_inputs_that_are_read_only_give_the_same(engine, x):
    expected = engine.predict(x)
    x.flags.writeable = False
    assert np.array_equal(engine.predict(x), expected)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "uint8", "bool"])
def test_numbers_of_other_types_are_converted(engine, dtype):
    x = np.eye(4, 64).astype(dtype)
    assert np.array_equal(engine.predict(x), engine.predict(x.astype("float32")))


def test_lists_and_tensors_are_taken(engine, x):
    assert np.array_equal(engine.predict(x.tolist()), engine.predict(x))
    assert np.array_equal(engine.predict(keras.ops.array(x)), engine.predict(x))


def test_tensors_that_require_a_gradient_or_are_bfloat16_are_taken(engine):
    torch = pytest.importorskip("torch")
    x = np.eye(2, 64, dtype="float32")
    expected = engine.predict(x)
    assert np.array_equal(engine.predict(torch.tensor(x, requires_grad=True)), expected)
    assert np.array_equal(engine.predict(torch.tensor(x, dtype=torch.bfloat16)), expected)
    assert np.array_equal(engine.predict(torch.tensor(x, dtype=torch.int32)), expected)
    with pytest.raises(ValueError, match="real numbers. Received: dtype=complex64"):
        engine.predict(torch.tensor(x, dtype=torch.complex64))


def test_what_fails_to_become_an_array_is_refused(engine):
    class Broken:
        def __array__(self, *args, **kwargs):
            raise RuntimeError("no")

        def __repr__(self):
            return "broken"

    with pytest.raises(ValueError, match="`x` must be an array of numbers. Received: x=broken"):
        engine.predict(Broken())


@pytest.mark.parametrize("shape", [(64,), (2, 63), (2, 1, 64)])
def test_a_wrong_shape_is_refused(engine, shape):
    with pytest.raises(ValueError, match=r"must have shape \(batch, 64\). Received: x.shape="):
        engine.predict(np.zeros(shape, "float32"))


@pytest.mark.parametrize("x", [np.zeros((1, 64), complex), np.full((1, 64), "a"), [[1], [1, 2]]])
def test_what_is_no_array_of_real_numbers_is_refused(engine, x):
    with pytest.raises(ValueError, match="Argument `x` must be an array of"):
        engine.predict(x)


@pytest.mark.parametrize("count", [1, 6])
def test_nan_stays_in_its_sample_and_propagates_as_in_the_model(model, engine, x, count):
    x = x[:count]
    x[0, 3] = np.nan
    with pytest.warns(UserWarning, match=f"`x` holds NaN in 1 of {count} samples"):
        outputs = engine.predict(x)
    assert np.array_equal(np.isnan(outputs), np.isnan(model.predict(x, verbose=0)))
    assert np.isnan(outputs[0]).all()
    assert not np.isnan(outputs[1:]).any()


def test_nan_in_a_closed_input_feature_propagates_as_in_the_model():
    gate = kdg.DynamicGate(top_k=1)
    block = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    gate.build((None, 2))
    gate.gate.network.scaled_bias.assign([1.0, 0.0])
    model = keras.Sequential([keras.Input((2,)), gate, block])
    with pytest.warns(UserWarning, match="`x` holds NaN in 1 of 2 samples"):
        outputs = InferenceEngine(model, threads=1).predict([[1.0, np.nan], [1.0, 1.0]])
    assert np.isnan(outputs).tolist() == [[True, True], [False, False]]


def test_the_kernel_is_chosen_by_batch_size(engine):
    assert set(engine.kernel_for(1).values()) == {"by_sample"}
    assert set(engine.kernel_for(256).values()) == {"by_block"}
    assert len(engine.kernel_for(256)) == 2


@pytest.mark.parametrize("batch_size", ["a", 0, 1.5])
def test_a_kernel_is_for_a_positive_number_of_samples(engine, batch_size):
    with pytest.raises(ValueError, match="Argument `batch_size` must be a positive integer"):
        engine.kernel_for(batch_size)


def test_both_products_of_an_mlp_are_named():
    block = kdg.DynamicGateMLP(32, 4, gate="linear", block_size=16, name="block")
    engine = InferenceEngine(keras.Sequential([keras.Input((8,)), block]), threads=1)
    assert engine.kernel_for(1) == {"block/hidden": "by_sample", "block/output": "by_sample"}


def refusal(*stack, shape=(8,)):
    with pytest.raises(ValueError, match="The engine") as error:
        InferenceEngine(keras.Sequential([keras.Input(shape), *stack]))
    return str(error.value)


def gated(**arguments):
    return kdg.DynamicGateDense(8, gate="linear", block_size=4, **arguments)


def test_a_layer_that_cannot_run_is_named_with_what_to_do():
    message = refusal(gated(), layers.Reshape((2, 4), name="folding"))
    assert "cannot run layer 'folding' (Reshape)" in message
    assert "`model.predict`" in message


def test_an_unknown_activation_is_refused():
    message = refusal(gated(activation=lambda x: x * x, name="squares"))
    assert "'squares'" in message
    assert "activation" in message


def test_options_without_a_kernel_are_refused():
    assert "`max_value`" in refusal(gated(), layers.ReLU(max_value=2.0))
    assert "axis" in refusal(gated(), layers.LayerNormalization(axis=1), shape=(3, 8))


def test_half_precision_is_refused():
    assert "float32 only" in refusal(gated(dtype="mixed_bfloat16"))


def test_a_quantized_layer_is_refused():
    dense = layers.Dense(4)
    model = keras.Sequential([keras.Input((8,)), gated(), dense])
    dense.quantize("int8")
    with pytest.raises(ValueError, match="quantized to 'int8'"):
        InferenceEngine(model)


@keras.saving.register_keras_serializable(package="test_engine")
class OwnGate(kdg.LinearGate):
    """Inherits a chain that does not say what it computes."""

    def call(self, inputs):
        return 2.0 * super().call(inputs)


def test_a_gate_network_that_computes_something_else_than_its_chain_is_refused():
    message = refusal(kdg.DynamicGateDense(8, gate=OwnGate(), block_size=4))
    assert "OwnGate" in message


def test_branches_are_refused():
    inputs = keras.Input((8,))
    middle = gated()(inputs)
    joined = layers.Add(name="joined")([middle, layers.Dense(8)(middle)])
    with pytest.raises(ValueError, match="joins or shares branches"):
        InferenceEngine(keras.Model(inputs, joined))


@pytest.mark.parametrize("threads", [0, -1, 1.5, "all"])
def test_threads_must_be_positive(model, threads):
    with pytest.raises(ValueError, match="Argument `threads` must be a positive integer"):
        InferenceEngine(model, threads=threads)


def test_no_more_threads_are_used_than_there_are_cores(model, monkeypatch):
    monkeypatch.setattr("keras_dynamicgate.engine.engine.available_cores", lambda: 2)
    engine = InferenceEngine(model, threads=2000)
    assert engine.threads == 2
    engine.predict(np.zeros((4096, 64), "float32"))
    assert sum(thread.name == "kdg-helper" for thread in threading.enumerate()) < 2000
    assert InferenceEngine(model, threads=1).threads == 1


def test_many_callers_at_once_get_their_own_answers(model, monkeypatch):
    monkeypatch.setattr("keras_dynamicgate.engine.engine.available_cores", lambda: 3)
    engine = InferenceEngine(model, threads=3)
    inputs = [
        np.random.default_rng(i).normal(size=(1 + 97 * i, 64)).astype("float32") for i in range(6)
    ]
    expected = [engine.predict(x) for x in inputs]
    wrong = []

    def call(i):
        for _ in range(60):
            if not np.array_equal(engine.predict(inputs[i]), expected[i]):
                wrong.append(i)

    callers = [threading.Thread(target=call, args=(i,)) for i in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_nothing_is_allocated_but_the_output(model):
    engine = InferenceEngine(model, threads=1)
    x = np.zeros((256, 64), "float32")
    engine.predict(x)
    tracemalloc.start()
    try:
        outputs = engine.predict(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < outputs.nbytes + 4096


def test_memory_is_that_of_weights_and_activations():
    block = kdg.DynamicGateMLP(1024, 256, gate="linear", block_size=128)
    model = keras.Sequential([keras.Input((256,)), block])
    engine = InferenceEngine(model, threads=1)
    engine.predict(np.zeros((512, 256), "float32"))
    memory = engine.memory()
    weights = 4 * model.count_params()
    activations = 4 * 512 * (256 + 1024 + 256)
    assert memory["weights"] <= 1.02 * weights
    assert memory["weights"] + memory["workspace"] <= 1.1 * (weights + activations)


def test_without_numba_it_says_that_it_is_slower(model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="Numba is not installed"):
        engine = InferenceEngine(model)
    assert not engine.compiled
    assert set(engine.kernel_for(1).values()) == {"numpy"}


def test_a_numba_that_cannot_be_imported_is_named_as_the_reason(model, monkeypatch, x):
    # `None` in `sys.modules` makes an import fail.
    monkeypatch.setitem(sys.modules, "keras_dynamicgate.engine.compiled.kernels", None)
    with pytest.warns(UserWarning, match=r"cannot be imported \(ModuleNotFoundError: .*slower"):
        engine = InferenceEngine(model)
    assert not engine.compiled
    np.testing.assert_allclose(engine.predict(x), model.predict(x, verbose=0), atol=1e-5)


def test_numba_is_imported_only_when_an_engine_is_made():
    code = (
        "import sys, keras_dynamicgate, keras_dynamicgate.engine.engine\n"
        "assert 'numba' not in sys.modules, 'numba'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("shape", [(None,), ()])
def test_model_without_a_known_number_of_input_features_is_refused(shape):
    model = keras.Sequential(
        [
            keras.Input(shape, dtype="int32"),
            keras.layers.Embedding(3, 4),
            kdg.DynamicGateDense(4, top_k=1, gate="linear", block_size=4),
        ]
    )
    with pytest.raises(ValueError, match=r"of a known number.* Received: input_shape="):
        kdg.InferenceEngine(model)
