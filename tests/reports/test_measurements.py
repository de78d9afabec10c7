import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.reports.measurements import measure


@pytest.mark.filterwarnings("ignore:The gate network")
def test_each_sample_runs_its_own_macs():
    # Sample 1 opens input 1 and unit 1, sample 2 opens all four. The gate network of the second
    # layer reads open inputs only.
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGate(gate="linear", name="inputs"),
            kdg.DynamicGateDense(2, gate="linear", block_size=1, name="units"),
        ]
    )
    for layer in model.layers:
        layer.gate.network.kernel.assign([[2, 0], [0, 2]])
        layer.gate.network.scaled_bias.assign([-0.1, -0.1])
    x = np.array([[1, 0], [1, 1]], "float32")
    measured = measure(model, x, batch_size=1)
    np.testing.assert_array_equal(measured.executed, [1, 4])
    np.testing.assert_array_equal(measured.of_gates, [4 + 2, 4 + 4])
    np.testing.assert_array_equal(measured.gates["inputs"].open_ratio, [0.5, 1])
    np.testing.assert_array_equal(measured.gates["units"].by_gate, [1, 0.5])
    report = kdg.count_macs(model, x)
    assert measured.executed.mean() == report.executed
    assert measured.of_gates.mean() == report.gates


def test_static_gates_hold_for_every_sample():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(), keras.layers.Dense(3)])
    model.layers[0].gate.network.scaled_bias.assign([1, 1, 1, -1])
    measured = measure(model, np.ones((5, 4), "float32"), batch_size=2)
    np.testing.assert_array_equal(measured.executed, 5 * [9])
    (gates,) = measured.gates.values()
    np.testing.assert_array_equal(gates.open_ratio, 5 * [0.75])
    np.testing.assert_array_equal(gates.by_gate, [1, 1, 1, 0])


def test_token_gates_average_over_positions():
    gate = kdg.DynamicGate("linear", name="tokens")
    model = keras.Sequential([keras.Input((2, 2)), gate, keras.layers.Dense(5)])
    network = model.layers[0].gate.network
    network.kernel.assign([[2, 0], [0, 2]])
    network.scaled_bias.assign([-0.1, -0.1])
    measured = measure(model, np.array([[[1, 0], [1, 1]]], "float32"))
    np.testing.assert_array_equal(measured.executed, [15])
    np.testing.assert_array_equal(measured.gates["tokens"].open_ratio, [0.75])
    np.testing.assert_array_equal(measured.gates["tokens"].by_gate, [1, 0.5])


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_logits_and_probabilities_give_the_same_confidence(activation):
    dense = keras.layers.Dense(2, activation, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), dense])
    measured = measure(model, np.array([[0, np.log(3)], [0, 0]], "float32"))
    np.testing.assert_array_equal(measured.predicted, [1, 0])
    np.testing.assert_allclose(measured.confidence, [0.75, 0.5], rtol=1e-6)


def test_model_that_is_no_classifier_predicts_no_class():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert measure(model, np.ones((3, 2), "float32")).predicted is None
