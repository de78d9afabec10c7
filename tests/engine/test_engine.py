"""What the engine computes: the model's outputs, whatever the batch and the layers."""

import keras
import numpy as np
import pytest
from harness import of_an_older_file
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.compiled.opcodes import ACTIVATION_NAMES
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.engine.layer_steps import ACROSS_UNITS, UNIT_WISE
from keras_dynamicgate.engine.numpy_kernels import ACTIVATIONS

pytest.importorskip("numba")
# The networks are too small for gates to pay.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")


def by_first_feature(**arguments):
    """Two blocks of two hidden units; gate `i` has the logit `x[i]`."""
    block = kdg.DynamicGateMLP(4, 2, block_size=2, gate="linear", **arguments)
    model = keras.Sequential([keras.Input((2,)), block])
    block.gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    block.gate.network.scaled_bias.assign([0.0, 0.0])
    block.hidden_dense.kernel.assign([[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 1.0, 0.0]])
    block.output_dense.kernel.assign([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    block.output_dense.bias.assign([10.0, 20.0])
    return model


def randomized(model, seed=0):
    """Give every kernel and bias random values, so that masks and outputs differ by sample."""
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=weight.shape[0] ** -0.5, size=weight.shape))
    return model


def samples(model, count, seed=1):
    shape = [5 if size is None else size for size in model.input_shape[1:]]
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_the_open_block_of_each_sample(threads):
    engine = InferenceEngine(by_first_feature(top_k=1), threads=threads)
    # x = (2, 1) opens block 0: hidden 2 + 1 and 2 * 2; x = (1, 2) opens block 1: 3 + 2 and 4.
    assert engine.predict(np.array([[2.0, 1.0]])).tolist() == [[13.0, 24.0]]
    both = engine.predict(np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert both.tolist() == [[13.0, 24.0], [15.0, 24.0]]


def test_a_probability_at_the_threshold_is_closed():
    engine = InferenceEngine(by_first_feature(), threads=1)
    # sigmoid(0) is the threshold: block 1 is closed for (1, 0), and both are for (0, 0).
    assert engine.predict([[1.0, 0.0], [0.0, 0.0]]).tolist() == [[11.0, 22.0], [10.0, 20.0]]


@pytest.mark.parametrize(
    ("threshold", "outputs"), [(1e-50, [18.0, 32.0]), (1 - 1e-9, [10.0, 20.0])]
)
def test_threshold_that_float32_takes_for_0_or_1_opens_all_or_none(threshold, outputs):
    model = by_first_feature(threshold=threshold)
    assert model.predict(np.array([[2.0, 0.0]]), verbose=0).tolist() == [outputs]
    assert InferenceEngine(model, threads=1).predict([[2.0, 0.0]]).tolist() == [outputs]


def test_the_lower_index_wins_a_tie_of_logits():
    engine = InferenceEngine(by_first_feature(top_k=1), threads=1)
    assert engine.predict([[1.0, 1.0]]).tolist() == [[12.0, 22.0]]


def test_min_open_keeps_the_largest_logits_open():
    model = by_first_feature(min_open=0.5)
    kernel = [[-1.0, -2.0, -3.0, -4.0], [-1.0, 0.0, -1.0, 0.0]]
    model.layers[0].hidden_dense.kernel.assign(kernel)
    engine = InferenceEngine(model, threads=1)
    # Both logits are below the threshold; block 1 has the larger one: hidden 6 + 1 and 8.
    assert engine.predict([[-2.0, -1.0]]).tolist() == [[17.0, 28.0]]
    # Block 1 is open by the threshold already, so block 0 stays closed: hidden 9 - 1 and 12.
    assert engine.predict([[-3.0, 1.0]]).tolist() == [[18.0, 32.0]]


def seven_of_a_hundred_gates_stay_open():
    """Make gates of which only a floor is open: .07 * 100 is a little more than 7 in floats."""
    gated = kdg.DynamicGateDense(100, gate="linear", block_size=1, min_open=0.07, initial_open=0.01)
    model = randomized(keras.Sequential([keras.Input((10,)), gated]))
    gated.gate.network.scaled_bias.assign([-10.0] * 100)
    return model


def check_seven_are_open(engine):
    model = seven_of_a_hundred_gates_stay_open()
    check_parity(model, engine(model), (1, 20))
    assert np.count_nonzero(engine(model).predict(samples(model, 1))) == 7


def test_a_floor_keeps_as_many_gates_open_as_in_the_model():
    check_seven_are_open(InferenceEngine)


@pytest.mark.filterwarnings("ignore:Numba is not installed")
def test_a_floor_keeps_as_many_gates_open_as_in_the_model_without_numba(no_numba):
    check_seven_are_open(InferenceEngine)


def test_temperature_threshold_and_price_are_those_of_the_model_now():
    model = by_first_feature()
    gate = model.layers[0].gate
    gate.temperature.assign(2.0)
    gate.threshold.assign(0.7)
    gate.price.assign(1.0)
    engine = InferenceEngine(model, threads=1)
    # The threshold lies at 2 * 1 + 2 ln(7 / 3) = 3.69: 3.6 is closed, 3.8 is open.
    assert engine.predict([[3.6, 0.0], [3.8, 0.0]])[:, 0].tolist() == pytest.approx([10.0, 13.8])


MODELS = {
    "mlp": lambda: [keras.Input((40,)), kdg.DynamicGateMLP(128, 24, block_size=32)],
    "small blocks": lambda: [
        keras.Input((40,)),
        kdg.DynamicGateMLP(40, 24, gate="linear", block_size=8, top_k=2),
    ],
    "gated linear on sequences": lambda: [
        keras.Input((3, 20)),
        kdg.DynamicGateMLP(30, 12, "silu", gate="mlp", block_size=6, top_k=2, gated_linear=True),
        layers.Dense(7, activation="softmax"),
    ],
    "sequences of any length": lambda: [
        keras.Input((None, 20)),
        kdg.DynamicGateDense(32, "gelu", gate=kdg.LowRankGate(4), block_size=16),
        layers.Dense(3),
    ],
    "gates on both sides": lambda: [
        keras.Input((40,)),
        kdg.DynamicGateDense(128, "relu", block_size=64, min_open=0.5, gate="linear"),
        layers.Dropout(0.5),
        kdg.DynamicGateDense(96, "tanh", block_size=48, gate="linear"),
        layers.Dense(10),
    ],
    "small gates on both sides": lambda: [
        keras.Input((40,)),
        kdg.DynamicGateDense(32, "relu", block_size=4, gate="linear"),
        kdg.DynamicGateDense(30, "sigmoid", block_size=5, gate="linear"),
    ],
    "static gates before an offset": lambda: [
        keras.Input((8,)),
        kdg.DynamicGate(top_k=3),
        layers.Rescaling(2.0, offset=-0.5),
        kdg.DynamicGateDense(32, "relu", block_size=8),
    ],
    "static gates, too": lambda: [
        keras.Input((6, 5)),
        layers.Rescaling(2.0, offset=-0.5),
        kdg.DynamicGate(top_k=3),
        layers.Flatten(),
        kdg.DynamicGateDense(16, "leaky_relu", gate="static", block_size=4, top_k=2),
        layers.BatchNormalization(),
        kdg.DynamicGateDense(16, "elu", gate="linear", block_size=4),
        layers.LayerNormalization(),
        layers.Dense(3, use_bias=False),
    ],
    "static gated linear": lambda: [
        keras.Input((12,)),
        kdg.DynamicGate("linear", block_size=3),
        kdg.DynamicGateMLP(
            16, 8, "softplus", gate="static", block_size=4, top_k=2, gated_linear=True
        ),
        layers.Activation("sigmoid"),
    ],
    "flatten of a gated sequence": lambda: [
        keras.Input((4, 10)),
        kdg.DynamicGateDense(12, "relu", gate="linear", block_size=4),
        layers.Flatten(),
        kdg.DynamicGate("linear", block_size=6),
        layers.Dense(5),
    ],
    "softmax under gates": lambda: [
        keras.Input((7,)),
        of_an_older_file(kdg.DynamicGateDense(16, gate="linear", block_size=4), "softmax"),
        layers.ReLU(),
        layers.Dense(12, activation="log_softmax"),
    ],
    "a model inside": lambda: [
        keras.Input((7,)),
        keras.Sequential([keras.Input((7,)), layers.Dense(9), layers.ELU()]),
        kdg.DynamicGateMLP(16, 2, block_size=8, gate="linear"),
    ],
}


def check_parity(model, engine, counts):
    for count in counts:
        x = samples(model, count)
        expected = np.asarray(model.predict(x, verbose=0))
        outputs = engine.predict(x)
        assert outputs.shape == expected.shape
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_gives_the_outputs_of_the_model(name):
    model = randomized(keras.Sequential(MODELS[name]()))
    check_parity(model, InferenceEngine(model, threads=2), (1, 2, 23))


@pytest.mark.filterwarnings("ignore:Numba is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_gives_the_outputs_of_the_model_without_numba(name, no_numba):
    model = randomized(keras.Sequential(MODELS[name]()))
    check_parity(model, InferenceEngine(model), (5,))


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_both_kinds_of_kernels_know_the_same_activations():
    assert set(ACTIVATIONS) == set(ACTIVATION_NAMES)


@pytest.mark.parametrize("name", sorted(set(ACTIVATION_NAMES) - set(ACROSS_UNITS)))
def test_activations_agree_with_keras(name):
    block = kdg.DynamicGateDense(16, name, gate="linear", block_size=16, initial_open=0.999)
    model = keras.Sequential([keras.Input((1,)), block])
    block.gate.network.kernel.assign([[0.0]])
    block.kernel.assign(np.ones((1, 16)))
    x = np.array([[-30.0], [-3.0], [-0.1], [0.0], [0.1], [2.5], [7.0], [30.0]], "float32")
    expected = keras.ops.convert_to_numpy(keras.activations.get(name)(keras.ops.array(x)))
    outputs = InferenceEngine(model, threads=1).predict(x)
    np.testing.assert_allclose(outputs, np.repeat(expected, 16, 1), rtol=2e-6, atol=2e-6)
    assert UNIT_WISE[name] == (expected[3] == 0)


def test_large_batches_run_in_pieces():
    model = randomized(keras.Sequential(MODELS["mlp"]()))
    check_parity(model, InferenceEngine(model, threads=2), (1200,))


def test_threads_share_what_is_worth_sharing(monkeypatch):
    monkeypatch.setattr("keras_dynamicgate.engine.engine.available_cores", lambda: 3)
    model = randomized(
        keras.Sequential(
            [
                keras.Input((64,)),
                kdg.DynamicGateDense(512, "relu", gate="linear", block_size=64),
                kdg.DynamicGateDense(512, "relu", gate="linear", block_size=64),
                kdg.DynamicGateMLP(512, 70, gate="linear", block_size=128, gated_linear=True),
            ]
        )
    )
    check_parity(model, InferenceEngine(model, threads=3), (3, 300, 300))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_closed_blocks_are_not_read(count):
    model = by_first_feature(top_k=1)
    block = model.layers[0]
    block.hidden_dense.kernel.assign([[1.0, 2.0, np.nan, np.nan], [1.0, 0.0, np.nan, np.nan]])
    block.output_dense.kernel.assign([[1.0, 0.0], [0.0, 1.0], [np.nan, np.nan], [np.nan, np.nan]])
    engine = InferenceEngine(model, threads=1)
    assert engine.predict([[2.0, 1.0]] * count).tolist() == [[13.0, 24.0]] * count


@pytest.mark.parametrize("count", [1, 16])
def test_a_mask_saves_the_rows_of_the_dense_that_follows(count):
    gated = kdg.DynamicGateDense(4, gate="linear", block_size=2, top_k=1)
    dense = layers.Dense(1)
    model = keras.Sequential([keras.Input((2,)), gated, layers.ReLU(), layers.Dropout(0.5), dense])
    gated.gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    gated.kernel.assign(np.ones((2, 4)))
    dense.kernel.assign([[1.0], [10.0], [np.nan], [np.nan]])
    engine = InferenceEngine(model, threads=1)
    assert engine.predict([[2.0, 1.0]] * count).tolist() == [[33.0]] * count


def test_static_gates_on_the_input_save_the_rows_of_the_first_layer():
    gate = kdg.DynamicGate(top_k=2)
    block = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    model = keras.Sequential([keras.Input((3,)), gate, block])
    gate.gate.network.scaled_bias.assign([1.0, 0.0, 2.0])
    block.kernel.assign([[1.0, 2.0], [np.nan, np.nan], [10.0, 20.0]])
    block.gate.network.kernel.assign([[0.0, 0.0], [np.nan, np.nan], [0.0, 0.0]])
    engine = InferenceEngine(model, threads=1)
    assert engine.predict([[1.0, 5.0, 2.0]]).tolist() == [[21.0, 42.0]]


def test_static_gates_save_input_features_behind_a_rescaling_and_a_flatten():
    gate = kdg.DynamicGate(top_k=2)
    block = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    model = keras.Sequential(
        [
            keras.Input((2, 2)),
            layers.Rescaling(scale=[2.0, 4.0], offset=[1.0, 0.0]),
            layers.Rescaling(10.0, offset=3.0),
            layers.Flatten(),
            gate,
            block,
        ]
    )
    gate.gate.network.scaled_bias.assign([1.0, 0.0, 0.0, 2.0])
    block.kernel.assign([[1.0, 2.0], [np.nan, np.nan], [np.nan, np.nan], [10.0, 20.0]])
    block.gate.network.kernel.assign([[0.0, 0.0], [np.nan, np.nan], [np.nan, np.nan], [0.0, 0.0]])
    engine = InferenceEngine(model, threads=1)
    # Features 0 and 3 become 10 * (2 * 1 + 1) + 3 = 33 and 10 * (4 * 5) + 3 = 203.
    assert engine.predict([[[1.0, 7.0], [7.0, 5.0]]]).tolist() == [[2063.0, 4126.0]]
    assert np.isnan(engine.predict([[[1.0, np.inf], [7.0, 5.0]]])).all()


def test_later_training_does_not_reach_the_engine():
    model = by_first_feature(top_k=1)
    engine = InferenceEngine(model, threads=1)
    model.layers[0].output_dense.bias.assign([0.0, 0.0])
    assert engine.predict([[2.0, 1.0]]).tolist() == [[13.0, 24.0]]


@pytest.mark.filterwarnings("ignore:Numba is not installed")
def test_later_training_does_not_reach_the_engine_without_numba(no_numba):
    model = by_first_feature(top_k=1)
    engine = InferenceEngine(model)
    model.layers[0].output_dense.bias.assign([0.0, 0.0])
    assert engine.predict([[2.0, 1.0]]).tolist() == [[13.0, 24.0]]
