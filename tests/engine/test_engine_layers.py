"""Keras's layers in an engine: each option computes what Keras does, or is refused by name."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine

pytest.importorskip("numba")
# The networks are too small for gates to pay.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")

STATIC = {"gate": "static", "block_size": 4}


def gated(units=8, **arguments):
    return kdg.DynamicGateDense(units, gate="linear", block_size=4, **arguments)


@pytest.fixture(params=["compiled", "numpy"])
def engine(request, monkeypatch):
    """Make engines with and without Numba."""
    if request.param == "compiled":
        return InferenceEngine
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    def without_numba(model):
        with pytest.warns(UserWarning, match="Numba is not installed"):
            return InferenceEngine(model)

    return without_numba


def behind(*stack, shape):
    """Build a model in which an open gated layer that changes nothing follows other layers."""
    size = shape[-1]
    gate = kdg.DynamicGateDense(size, gate="linear", block_size=size, initial_open=0.999)
    model = keras.Sequential([keras.Input(shape), *stack, gate])
    gate.gate.network.kernel.assign(np.zeros((size, 1)))
    gate.kernel.assign(np.eye(size))
    return model


def check_outputs(engine, model, x, expected):
    x = np.array(x, "float32")
    np.testing.assert_allclose(engine(model).predict(x), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)


def test_rms_normalization_does_not_centre(engine):
    normalization = layers.RMSNormalization(epsilon=0.5)
    model = behind(normalization, shape=(2,))
    normalization.scale.assign([1.0, 10.0])
    # The root of (1 + 6) / 2 + 1 / 2 is 2; centred, both rows would be alike.
    x = np.array([[1.0, 6.0**0.5], [6.0**0.5, 1.0]])
    expected = [[0.5, 5 * 6.0**0.5], [6.0**0.5 / 2, 5.0]]
    check_outputs(engine, model, x, expected)


def test_rms_normalization_runs_behind_a_gated_linear_unit(engine):
    keras.utils.set_random_seed(1)
    block = kdg.DynamicGateMLP(16, 6, "silu", gate="linear", block_size=4, gated_linear=True)
    model = keras.Sequential([keras.Input((3, 6)), layers.RMSNormalization(), block])
    model.add(layers.RMSNormalization(axis=2))
    x = np.random.default_rng(0).normal(size=(5, 3, 6)).astype("float32")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(engine(model).predict(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_the_squares_of_large_inputs_overflow_as_in_the_model(engine, kind):
    model = behind(getattr(layers, kind)(), shape=(4,))
    check_outputs(engine, model, [[1e30, -1e30, 0.0, 0.0]], np.zeros((1, 4)))


def test_the_sum_of_large_inputs_overflows_as_in_the_model(engine):
    model = behind(layers.LayerNormalization(), shape=(4,))
    check_outputs(engine, model, [[3e38, 3e38, 1.0, 1.0]], np.full((1, 4), np.nan))


def adapted(**arguments):
    normalization = layers.Normalization(**arguments)
    normalization.adapt(np.array([[997.0, 3.0], [1003.0, 7.0]]))
    return normalization


def test_adapted_normalization_of_the_input(engine):
    # Means 1000 and 5, deviations 3 and 2. Divided first, 1001.5 / 3 would lose digits.
    model = behind(adapted(), shape=(2,))
    check_outputs(engine, model, [[1001.5, 5.0], [997.0, 9.0]], [[0.5, 0.0], [-1.0, 2.0]])


def test_normalization_that_inverts(engine):
    model = behind(adapted(invert=True), shape=(2,))
    check_outputs(engine, model, [[0.5, 1.0]], [[1001.5, 7.0]])


def test_normalization_behind_other_layers(engine):
    shift = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    model = behind(layers.ReLU(), shift, shape=(2,))
    check_outputs(engine, model, [[-1.0, 5.0]], [[-0.5, 1.0]])


def test_normalization_as_a_whole_between_rescalings_and_a_flatten(engine):
    stack = [
        layers.Rescaling(2.0),
        layers.Normalization(axis=None, mean=1.0, variance=4.0),
        layers.Rescaling([1.0, 10.0], offset=[0.0, 5.0]),
        layers.Flatten(),
    ]
    gate = kdg.DynamicGateDense(4, gate="linear", block_size=4, initial_open=0.999)
    model = keras.Sequential([keras.Input((2, 2)), *stack, gate])
    gate.gate.network.kernel.assign(np.zeros((4, 1)))
    gate.kernel.assign(np.eye(4))
    # x becomes (2 x - 1) / 2, then times 1 or times 10 plus 5.
    check_outputs(engine, model, [[[1.0, 2.0], [3.0, 4.0]]], [[0.5, 20.0, 2.5, 40.0]])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_spatial_dropout_does_nothing(rank):
    dropout = getattr(layers, f"SpatialDropout{rank}D")(0.5)
    model = behind(dropout, shape=(*[2] * rank, 3))
    x = np.random.default_rng(0).normal(size=(2, *[2] * rank, 3)).astype("float32")
    np.testing.assert_allclose(InferenceEngine(model).predict(x), x, rtol=1e-6)


def refusal(model):
    with pytest.raises(ValueError, match=r"The engine|Model|Layer|Operation") as error:
        InferenceEngine(model)
    return str(error.value)


def test_the_deprecated_rms_scaling_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that it is deprecated
        norm = layers.LayerNormalization(rms_scaling=True, name="norm")
    message = refusal(keras.Sequential([keras.Input((8,)), gated(), norm]))
    assert "'norm' (LayerNormalization) with `rms_scaling`" in message
    assert "RMSNormalization" in message


@pytest.mark.parametrize(
    "layer",
    [
        layers.Softmax(axis=1),
        layers.RMSNormalization(axis=1),
        layers.LayerNormalization(axis=[1, 2]),
        layers.BatchNormalization(axis=1),
        layers.Normalization(axis=(1, 2), mean=np.zeros((3, 8)), variance=np.ones((3, 8))),
        layers.Rescaling(np.array([[1.0], [2.0], [3.0]])),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_other_axes_are_refused(layer):
    message = refusal(keras.Sequential([keras.Input((3, 8)), gated(), layer]))
    assert f"{layer.name!r} ({type(layer).__name__}) on a" in message
    assert "axis" in message


def test_a_flatten_that_moves_channels_is_refused():
    flatten = layers.Flatten(data_format="channels_first")
    message = refusal(keras.Sequential([keras.Input((3, 8)), gated(), flatten]))
    assert '(Flatten) with `data_format="channels_first"`' in message


def test_a_dropout_that_stays_on_is_refused():
    start = keras.Input((8,))
    dropped = layers.Dropout(0.5, name="monte_carlo")(gated()(start), training=True)
    assert "'monte_carlo' (Dropout) with arguments" in refusal(keras.Model(start, dropped))


@pytest.mark.parametrize(
    ("operation", "name"), [(lambda x: 2.0 * x, "Multiply"), (ops.relu, "Relu")]
)
def test_a_plain_operation_is_named_with_what_to_do(operation, name):
    start = keras.Input((8,))
    message = refusal(keras.Model(start, layers.Dense(2)(operation(gated()(start)))))
    assert f"({name}) is no layer" in message
    assert "`Rescaling`" in message


def convolution():
    return keras.Sequential([keras.Input((4, 4, 2)), kdg.DynamicGateConv2D(4, 2, **STATIC)])


def branch():
    start = keras.Input((8,))
    hidden = kdg.DynamicGateDense(8, **STATIC)(start)
    return keras.Model(start, layers.Add()([start, hidden]))


def reshape():
    hidden = kdg.DynamicGateDense(8, **STATIC)
    return keras.Sequential([keras.Input((8,)), layers.Reshape((2, 4)), hidden])


def mixed_precision():
    hidden = kdg.DynamicGateDense(8, dtype="mixed_bfloat16", **STATIC)
    return keras.Sequential([keras.Input((8,)), hidden])


def chain():
    return keras.Sequential([keras.Input((8,)), kdg.DynamicGateDense(8, **STATIC)])


@pytest.mark.parametrize("build", [chain, convolution, branch, reshape, mixed_precision])
def test_a_model_with_static_gates_only_is_sent_to_compact(build):
    message = refusal(build())
    assert "no input-dependent gates" in message
    assert "compact(model)" in message


@pytest.mark.parametrize("layer", [layers.Dense(2), kdg.DynamicGateDense(8, gate=None)])
def test_a_model_without_gates_is_told_so(layer):
    message = refusal(keras.Sequential([keras.Input((8,)), layer]))
    assert "has no gates" in message
    assert "compact" not in message
    assert "gate_model(model)" in message
