"""`compact` through layers that scale and shift features: `Rescaling` and `Normalization`."""

import keras
import numpy as np
import pytest
from compaction.small_models import STATIC, check_same, scatter, set_gates
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact, compact_with_report


def adapted(**arguments):
    normalization = layers.Normalization(**arguments)
    normalization.adapt(np.array([[0.0, 2.0, 4.0, 1.0], [4.0, 2.5, 5.0, 3.0]]))
    return normalization


SCALING = {
    "one scale": lambda: layers.Rescaling(2.0, offset=-1.0),
    "a scale for each feature": lambda: layers.Rescaling([1.0, 2, 3, 4], offset=[4.0, 3, 2, 1]),
    "a row": lambda: layers.Rescaling(np.array([[1.0, 2, 3, 4]])),
    "adapted": adapted,
    "adapted as a whole": lambda: adapted(axis=None),
    "inverted": lambda: adapted(invert=True),
    "given statistics": lambda: layers.Normalization(mean=[1.0, 2, 3, 4], variance=[4.0, 3, 2, 1]),
    "given numbers": lambda: layers.Normalization(mean=1.0, variance=4.0),
}


@pytest.mark.parametrize("name", SCALING)
def test_features_are_taken_before_they_are_scaled(name):
    gate, dense = kdg.DynamicGate(), layers.Dense(2)
    model = keras.Sequential([keras.Input((4,)), SCALING[name](), gate, dense])
    scatter(dense)
    set_gates(gate, [0, 1, 0, 1])
    small, report = compact_with_report(model)
    kinds = (layers.Rescaling, layers.Normalization)
    (scaling,) = (layer for layer in small.layers if isinstance(layer, kinds))
    assert scaling.output.shape == (None, 2)
    assert report.kept == []
    check_same(model, small)


@pytest.mark.parametrize("name", SCALING)
def test_closed_units_go_and_what_they_become_goes_into_the_next_bias(name):
    gated, dense = kdg.DynamicGateDense(4, "relu", **STATIC), layers.Dense(2, use_bias=False)
    model = keras.Sequential([keras.Input((3, 3)), gated, SCALING[name](), dense])
    scatter(gated)
    scatter(dense)
    set_gates(gated, [1, 0, 0, 0])
    small, report = compact_with_report(model)
    first, last = (layer for layer in small.layers if isinstance(layer, layers.Dense))
    assert (first.units, last.kernel.shape) == (1, (1, 2))
    assert report.kept == []
    check_same(model, small)


def test_the_constant_of_a_closed_unit_is_the_offset():
    model = keras.Sequential(
        [keras.Input((1,)), layers.Dense(2), kdg.DynamicGate(), layers.Rescaling(5.0, offset=3.0)]
    )
    model.add(layers.Dense(1))
    model.layers[-1].kernel.assign([[2.0], [10.0]])
    set_gates(model.layers[1], [1, 0])
    small = compact(model)
    np.testing.assert_allclose(ops.convert_to_numpy(small.layers[-1].bias), [30.0])
    assert small.layers[-1].kernel.shape == (1, 1)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.Rescaling(np.array([[1.0], [2.0]])), "it scales positions by different numbers"),
        (
            layers.Normalization(axis=1, mean=[1.0, 2.0], variance=[1.0, 2.0]),
            "it does not work on the last axis",
        ),
    ],
    ids=["rescaling", "normalization"],
)
def test_scaling_by_position_stays_and_says_why(layer, reason):
    gate = kdg.DynamicGate()
    model = keras.Sequential([keras.Input((2, 4)), gate, layer, layers.Dense(1)])
    scatter(model)
    set_gates(gate, [1, 0, 1, 0])
    small, report = compact_with_report(model)
    assert small.layers[-1].kernel.shape == (4, 1)
    assert [(kept.units, kept.reason) for kept in report.kept] == [(2, reason)]
    check_same(model, small)
