import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, set_update_mode, update_report


def model():
    """Two units of four closed: 3 inputs, 4 units, 2 outputs."""
    gated = kdg.DynamicGateDense(4, "relu", gate="static", block_size=1, name="gated")
    model = keras.Sequential([keras.Input((3,)), gated, keras.layers.Dense(2, name="head")])
    gated.gate.network.scaled_bias.assign([1.0, -1.0, 1.0, -1.0])
    gated.dense.kernel.assign(np.ones((3, 4)))
    model.compile(MaskedUpdate(keras.optimizers.SGD(0.125)), "mse")
    return model


def trained(mode, reference=None):
    built = model()
    set_update_mode(built, mode, reference)
    before = built.get_weights()
    built.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    return update_report(built, before)


def test_the_report_counts_what_moved_by_kind():
    report = trained("inactive", np.ones((1, 3)))
    assert report.moved("gate") == 0
    # The columns and biases of two units and their two rows.
    assert report.moved("weight") == report.moved() == 2 * 3 + 2 + 2 * 2
    assert sum(weight.may_move for weight in report.weights) == 12
    kernel = next(w for w in report.weights if w.path.endswith("head/kernel"))
    assert (kernel.kind, kernel.numbers, kernel.may_move, kernel.moved) == ("weight", 8, 4, 4)
    assert kernel.largest_step > 0.0


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # Forward 3 * 4 + 4 * 2; gradients of the inputs of the second layer; those of weights.
        ("all", (20, 8, 20)),
        ("head", (20, 0, 8)),
        ("biases", (20, 8, 0)),
        ("gates", (20, 8, 0)),
        ("none", (20, 0, 0)),
    ],
)
def test_macs_of_an_update_are_those_of_the_gradients_that_it_needs(mode, expected):
    report = trained(mode)
    assert (report.forward_macs, report.input_macs, report.weight_macs) == expected
    assert report.macs == sum(expected)


def test_units_cost_their_share_of_the_gradients_by_weights():
    report = trained("inactive", np.ones((1, 3)))
    assert (report.forward_macs, report.input_macs, report.weight_macs) == (20, 8, 6 + 4)


def test_the_table_shows_what_moved():
    text = str(trained("head"))
    assert "head/kernel" in text
    assert "gated/kernel" not in text
    assert "28 multiply-accumulates" in text


def test_weights_of_another_model_are_refused():
    with pytest.raises(ValueError, match="`before` must be.*Received: 1 arrays"):
        update_report(model(), [np.ones(3)])
