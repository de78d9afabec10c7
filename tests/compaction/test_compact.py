"""What `compact` removes and folds, layer by layer, on models worked out by hand."""

import keras
import numpy as np
import pytest
from compaction.small_models import STATIC, check_same, outputs_of, scatter, set_gates, units
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact, compact_with_report


def test_closed_units_are_gone_from_their_layer_and_from_the_next():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGateDense(3, "relu", **STATIC),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )
    model.layers[0].dense.set_weights([np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([7.0, 8, 9])])
    model.layers[2].set_weights([np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([7.0, 8])])
    set_gates(model.layers[0], [1, 0, 1])
    small = compact(model)
    first, last = small.layers[1], small.layers[-1]
    assert type(first) is layers.Dense
    np.testing.assert_array_equal(ops.convert_to_numpy(first.kernel), [[1, 3], [4, 6]])
    np.testing.assert_array_equal(ops.convert_to_numpy(first.bias), [7, 9])
    np.testing.assert_array_equal(ops.convert_to_numpy(last.kernel), [[1, 2], [5, 6]])
    # (1 + 4 + 7, 3 + 6 + 9) = (12, 18)
    np.testing.assert_array_equal(outputs_of(small, np.ones((1, 2)))[0], [[109, 140]])


def test_an_activation_that_moves_zero_goes_into_the_next_bias():
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(2),
            kdg.DynamicGate(),
            layers.Activation("sigmoid"),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.layers[-1].kernel.assign([[2.0], [6.0]])
    set_gates(model.layers[1], [1, 0])
    small = compact(model)
    assert units(small) == [1, 1]
    # sigmoid(0) * 6
    np.testing.assert_allclose(ops.convert_to_numpy(small.layers[-1].bias), [3.0])
    check_same(model, small)


def test_batch_normalization_is_sliced_and_its_constant_folded():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2),
            kdg.DynamicGate(),
            layers.BatchNormalization(epsilon=0.0),
            layers.Dense(1),
        ]
    )
    scatter(model)
    model.layers[2].set_weights(np.array([[1.0, 4], [1, 5], [0, 3], [1, 4]]))
    model.layers[3].set_weights([np.array([[1.0], [10]]), np.array([100.0])])
    set_gates(model.layers[1], [1, 0])
    small = compact(model)
    # beta - mean * gamma / std = 5 - 3 * 4 / 2 = -1
    np.testing.assert_allclose(ops.convert_to_numpy(small.layers[-1].bias), [90.0], rtol=1e-6)
    assert units(small) == [1, 1, 1]
    check_same(model, small)


def test_gates_on_the_input_become_one_take_of_the_used_features():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.BatchNormalization(),
            kdg.DynamicGate(),
            layers.Dense(3),
        ]
    )
    scatter(model)
    set_gates(model.layers[1], [0, 1, 0, 1])
    small, report = compact_with_report(model)
    names = [type(operation).__name__ for operation in small.operations]
    assert names.count("Take") == 1
    assert units(small) == [2, 3]
    assert [(layer.before, layer.after) for layer in report.layers] == [(4, 2), (4, 2)]
    check_same(model, small)


@pytest.mark.parametrize(
    ("padding", "size", "read"), [("valid", 2, 2), ("same", 2, 3), ("same", 1, 2)]
)
def test_channels_go_but_a_constant_that_meets_padding_is_put_back(padding, size, read):
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            layers.Conv2D(3, 3),
            kdg.DynamicGate(),
            layers.BatchNormalization(),
            layers.Conv2D(2, size, padding=padding, name="reader"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    scatter(model)
    set_gates(model.layers[1], [1, 0, 1])
    small, report = compact_with_report(model)
    assert units(small)[0] == 2
    assert small.get_layer("reader").kernel.shape[2] == read
    assert not report.kept
    check_same(model, small)


def test_closed_channels_go_through_pooling_flatten_and_zero_preserving_padding():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            kdg.DynamicGate(),
            layers.ZeroPadding2D(1),
            layers.MaxPooling2D(2),
            layers.Conv2D(3, 3, padding="same"),
            kdg.DynamicGate(),
            layers.Reshape((-1, 3)),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[1], [1, 0, 0, 1])
    set_gates(model.layers[5], [0, 1, 1])
    small = compact(model)
    assert units(small) == [2, 2, 2]
    assert small.layers[-1].kernel.shape == (4 * 4 * 2, 2)
    check_same(model, small)


def test_what_one_side_of_a_sum_closes_is_put_back_as_zeros():
    start = keras.Input((2,))
    one, other = (kdg.DynamicGateDense(4, "relu", **STATIC) for _ in range(2))
    model = keras.Model(start, layers.Dense(1)(layers.Add()([one(start), other(start)])))
    scatter(model)
    set_gates(one, [1, 0, 0, 1])
    set_gates(other, [1, 1, 0, 0])
    small, report = compact_with_report(model)
    assert units(small) == [2, 2, 1]
    assert small.layers[-1].kernel.shape == (3, 1)  # what both sides close is in no sum
    assert not report.kept
    check_same(model, small)


def test_multiply_removes_what_either_side_closes():
    start = keras.Input((2,))
    one, other = (kdg.DynamicGateDense(4, "relu", **STATIC) for _ in range(2))
    model = keras.Model(start, layers.Dense(1)(layers.Multiply()([one(start), other(start)])))
    scatter(model)
    set_gates(one, [1, 0, 0, 1])
    set_gates(other, [1, 1, 0, 1])
    small = compact(model)
    assert units(small) == [2, 2, 1]
    check_same(model, small)


def test_a_branch_that_is_all_closed_disappears_from_a_concatenation():
    start = keras.Input((2,))
    one, other = (kdg.DynamicGateDense(3, "relu", **STATIC) for _ in range(2))
    joined = layers.Concatenate()([one(start), other(start)])
    model = keras.Model(start, layers.Dense(2)(joined))
    scatter(model)
    set_gates(one, [0, 1, 1])
    set_gates(other, [0, 0, 0])
    small = compact(model)
    assert units(small) == [2, 2]
    check_same(model, small)


def test_channels_that_static_gates_close_are_gone_from_all_convolutions():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            kdg.DynamicGateConv2D(3, 3, padding="same", activation="relu", **STATIC),
            layers.MaxPooling2D(),
            kdg.DynamicGateConv2D(4, 2, **STATIC),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[0], [1, 0, 1])
    set_gates(model.layers[2], [0, 0, 1, 1])
    small = compact(model)
    assert [type(layer) for layer in small.layers[1:4:2]] == [layers.Conv2D, layers.Conv2D]
    assert [tuple(layer.kernel.shape) for layer in small.layers[1:4:2]] == [
        (3, 3, 2, 2),
        (2, 2, 2, 2),
    ]
    assert tuple(small.layers[-1].kernel.shape) == (2 * 2 * 2, 2)
    check_same(model, small)


def test_a_convolution_without_gates_becomes_a_plain_one():
    model = keras.Sequential(
        [keras.Input((3, 3, 2)), kdg.DynamicGateConv2D(3, 2, gate=None), layers.Flatten()]
    )
    small = compact(model)
    assert type(small.layers[1]) is layers.Conv2D
    check_same(model, small)
