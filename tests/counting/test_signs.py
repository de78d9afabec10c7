import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg

X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], "float32")


def gated_by_the_signs_of_two_features():
    """Four gates: open for a positive first feature, a positive second one, always, never."""
    layer = kdg.DynamicGateDense(64, gate="linear", block_size=16)
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    kernel = np.array([[9.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]])
    layer.gate.network.set_weights([kernel, np.array([0.0, 0.0, 9.0, -9.0])])
    return model, layer


def test_report_says_which_share_of_the_gates_varies_and_what_they_tell_about_the_label():
    model, layer = gated_by_the_signs_of_two_features()
    report = kdg.count_macs(model, X, y=np.array([[5], [5], [6], [6]]))  # the first feature's sign
    counted = next(each for each in report.layers if each.name == layer.name)
    assert (counted.varying, counted.bits) == (0.5, 0.25)
    assert (report.varying, report.bits) == (0.5, 0.25)
    assert report.layers[-1].varying is None  # no gates
    said = " ".join(str(report).split())
    assert "Varying: 0.50 of the input-dependent gates" in said
    assert "Bits: 0.250 on average" in said
    assert report.to_dict()["layers"][0]["varying"] == 0.5


def test_without_labels_there_are_no_bits_and_static_gates_have_no_signs():
    model, _ = gated_by_the_signs_of_two_features()
    assert kdg.count_macs(model, X).bits is None
    static = keras.Sequential([keras.Input((2,)), kdg.DynamicGateDense(4, gate="static")])
    report = kdg.count_macs(static, X, y=np.array([0, 0, 1, 1]))
    assert report.varying is None
    assert report.bits is None
    assert "Varying" not in str(report)


@pytest.mark.filterwarnings("ignore:The gate network of layer")
def test_of_several_layers_the_one_that_varies_least_is_named():
    model, layer = gated_by_the_signs_of_two_features()
    last = kdg.DynamicGateDense(4, gate="linear", block_size=2, name="always")
    model.add(last)
    last.gate.network.set_weights([np.zeros((1, 2)), np.array([9.0, -9.0])])
    assert "(least in always: 0.00)" in " ".join(str(kdg.count_macs(model, X)).split())


def test_without_inputs_gates_vary_as_in_the_last_training_batch():
    model, layer = gated_by_the_signs_of_two_features()
    layer.gate.open_ratio.assign([0.5, 1.0, 0.04, 0.1])
    assert kdg.count_macs(model).varying == 0.5


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (None, np.array([0, 1])),
        (X, np.array([0, 1])),
        (X, np.array([0.0, 1.0, 0.0, 1.0])),
        (X, np.array(3)),
    ],
)
def test_labels_that_are_not_a_class_for_each_sample_are_refused(x, y):
    model, _ = gated_by_the_signs_of_two_features()
    with pytest.raises(ValueError, match="Argument `y`"):
        kdg.count_macs(model, x, y=y)
