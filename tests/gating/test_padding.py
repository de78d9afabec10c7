import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_gates

# Gate 0 opens for the first, second and fourth position, gate 1 for the second alone.
X = np.array([[[1, -1], [1, 1]], [[-1, -1], [1, -1]]], "float32")
LAST_IS_PADDING = np.array([[True, True], [True, False]])


def linear_gate(**arguments):
    """A gate whose two logits are its two inputs."""
    gate = Gate("linear", 2, **arguments)
    gate.build((None, 2, 2))
    gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    gate.network.scaled_bias.assign([0.0, 0.0])
    return gate


def values(weight):
    return ops.convert_to_numpy(weight)


def test_padding_counts_neither_in_usage_nor_in_open_ratio():
    gate = linear_gate()
    gate(X, training=True, mask=LAST_IS_PADDING)
    np.testing.assert_allclose(values(gate.open_ratio), [2 / 3, 1 / 3], rtol=1e-6)
    high, low = 1 / (1 + np.exp([-1.0, 1.0]))
    expected = [(2 * high + low) / 3, (high + 2 * low) / 3]
    np.testing.assert_allclose(values(gate.usage), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "regularizer", [kdg.UsagePenalty(2.0), kdg.TargetUsage(0.0, 2.0), keras.regularizers.L1(2.0)]
)
def test_padding_is_charged_by_no_regularizer(regularizer):
    gate = linear_gate(usage_regularizer=regularizer)
    gate(X, training=True, mask=LAST_IS_PADDING)
    # Three probabilities of sigmoid(1) and three of sigmoid(-1), whose sum is 1.
    assert float(gate.penalty) == pytest.approx(1.0)


def test_padding_is_charged_by_no_budget():
    gate = linear_gate(estimator="threshold")
    methods = {"step": lambda self, gate: None, "price": lambda self, gate: gate.price}
    gate.budget = type("Budget", (), methods)()
    gate.pressure.assign(2.0)
    gate(X, training=True, mask=LAST_IS_PADDING)
    assert float(gate.penalty) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("x", "mask"), [(X, np.zeros((2, 2), bool)), (X[:0], None), (X[:0], LAST_IS_PADDING[:0])]
)
def test_batch_without_anything_that_counts_leaves_usage_and_open_ratio(x, mask):
    gate = linear_gate(usage_regularizer=kdg.UsagePenalty(2.0))
    gate.usage.assign([0.25, 0.5])
    gate.open_ratio.assign([0.125, 1.0])
    gate(x, training=True, mask=mask)
    np.testing.assert_array_equal(values(gate.usage), [0.25, 0.5])
    np.testing.assert_array_equal(values(gate.open_ratio), [0.125, 1.0])
    assert float(gate.penalty) == 0.0


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **arguments: kdg.DynamicGate("linear", **arguments),
        lambda **arguments: kdg.DynamicGateDense(8, gate="linear", block_size=4, **arguments),
        lambda **arguments: kdg.DynamicGateMLP(8, 2, gate="linear", block_size=4, **arguments),
    ],
    ids=["gate", "dense", "mlp"],
)
def test_mask_of_an_embedding_reaches_the_gates_of_a_layer(make, dtype):
    embedding = keras.layers.Embedding(5, 3, mask_zero=True, dtype=dtype)
    layer = make(dtype=dtype)
    short, padded = np.array([[3, 1], [2, 4]]), np.array([[3, 1, 0, 0, 0], [2, 4, 0, 0, 0]])
    usage = []
    for tokens in (short, padded):
        layer(embedding(tokens), training=True)
        usage.append(values(layer.gate.usage).copy())
    np.testing.assert_allclose(*usage, rtol=1e-6)


def test_padding_stands_in_a_record_as_the_mean_of_the_other_positions_of_its_sample():
    gate = linear_gate()
    x = np.array([[[1, -1], [1, 1], [-1, 1]], [[-1, -1], [1, -1], [1, 1]]], "float32")
    with record_gates() as record:
        gate(x, mask=np.array([[True, True, False], [True, False, False]]))
    expected = [[[1, 0], [1, 1], [1, 0.5]], [[0, 0], [0, 0], [0, 0]]]
    np.testing.assert_array_equal(record.masks()[gate], expected)
    decided = [[[1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [1, 1]]]
    np.testing.assert_array_equal(record.masks(padding=True)[gate], decided)
    high, low = 1 / (1 + np.exp([-1.0, 1.0]))
    np.testing.assert_allclose(record.probabilities()[gate][0, 2], [high, 0.5], rtol=1e-6)
    np.testing.assert_allclose(record.probabilities()[gate][1, 2], [low, low], rtol=1e-6)


def test_sample_of_padding_alone_stands_in_a_record_as_the_mean_of_the_others():
    gate = linear_gate()
    with record_gates() as record:
        gate(X, mask=np.array([[True, True], [False, False]]))
        gate(X, mask=np.zeros((2, 2), bool))  # as it was decided
    first, second = [[[1, 0], [1, 1]], [[1, 0.5], [1, 0.5]]], [[[1, 0], [1, 1]], [[0, 0], [1, 0]]]
    np.testing.assert_array_equal(record.masks()[gate], np.mean([first, second], axis=0))
