"""Opening units that learned while they were closed."""

import keras
import numpy as np
import pytest
from plasticity.small_models import DRIFTED, REFERENCE, TARGETS, two_gated_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, inactive_units, open_units, set_update_mode

# Such small layers save little.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


def one_layer(gate="linear", **options):
    """A layer of two blocks of which the second one is closed for all inputs."""
    layer = kdg.DynamicGateDense(4, gate=gate, block_size=2, name="first", **options)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
    layer.gate.network.scaled_bias.assign([0.5, -0.5])
    model.compile(MaskedUpdate(keras.optimizers.SGD(0.1)), "mse")
    set_update_mode(model, "inactive", REFERENCE)
    return model


def shares(opened):
    return list(opened.values())


def gates_of(model, x):
    """Give the masks of the first layer as the model decides them."""
    from keras_dynamicgate.gating.record import record_gates

    with record_gates() as record:
        model(x)
    return record.masks()[model.layers[0].gate]


def test_units_open_for_inputs_like_the_recent_ones_alone():
    model = one_layer()
    assert shares(open_units(model, REFERENCE, DRIFTED)) == [1.0]
    assert gates_of(model, DRIFTED).tolist() == [[1.0, 1.0]] * 8
    assert gates_of(model, REFERENCE).tolist() == [[1.0, 0.0]] * 6


def test_low_rank_gates_open_as_far_as_their_features_tell_inputs_apart():
    model = one_layer("low_rank")
    (share,) = shares(open_units(model, REFERENCE, DRIFTED))
    assert gates_of(model, DRIFTED)[:, 1].mean() == share > 0
    assert gates_of(model, REFERENCE).tolist() == [[1.0, 0.0]] * 6


def test_answers_to_the_reference_stay_bit_for_bit_and_those_to_recent_inputs_improve():
    model = one_layer()
    before = model.predict(REFERENCE, verbose=0)
    for _ in range(50):
        model.train_on_batch(DRIFTED, TARGETS)
    closed = model.evaluate(DRIFTED, TARGETS, verbose=0)
    assert shares(open_units(model, REFERENCE, DRIFTED, TARGETS)) == [1.0]
    np.testing.assert_array_equal(model.predict(REFERENCE, verbose=0), before)
    assert model.evaluate(DRIFTED, TARGETS, verbose=0) < 0.9 * closed


def test_layers_open_one_after_the_other():
    model = two_gated_layers()
    model.compile(MaskedUpdate("sgd"), "mse")
    set_update_mode(model, "inactive", REFERENCE)
    for layer in (model.get_layer("first"), model.get_layer("block")):
        network = layer.gate.network
        network.kernel.assign(np.zeros(network.kernel.shape))
        network.scaled_bias.assign(np.where(np.arange(4) < 2, -0.5, 0.5))
    set_update_mode(model, "inactive", REFERENCE)
    assert open_units(model, REFERENCE, DRIFTED) == {"first": 1.0, "block": 1.0}
    assert all(mask[:2].all() for mask in inactive_units(model, REFERENCE).values())


def test_units_stay_closed_that_would_raise_the_loss():
    model = one_layer()
    weights = model.layers[0].gate.network.get_weights()
    answers = model.predict(DRIFTED, verbose=0)
    assert shares(open_units(model, REFERENCE, DRIFTED, answers)) == [0.0]
    for before, after in zip(weights, model.layers[0].gate.network.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_inputs_like_the_reference_open_nothing():
    model = one_layer()
    weights = model.layers[0].gate.network.get_weights()
    assert shares(open_units(model, REFERENCE, REFERENCE)) == [0.0]
    for before, after in zip(weights, model.layers[0].gate.network.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_with_tau_some_of_the_reference_may_open_them():
    model = one_layer()
    reference = np.concatenate([REFERENCE, DRIFTED[:2]])
    (strict,) = shares(open_units(model, reference, DRIFTED[2:]))
    assert gates_of(model, reference)[:, 1].sum() == 0
    (lenient,) = shares(open_units(model, reference, DRIFTED[2:], tau=0.25))
    assert 0 < gates_of(model, reference)[:, 1].sum() <= 2  # of 8
    assert lenient > strict


def test_price_temperature_and_threshold_are_reckoned_with():
    model = one_layer(temperature=2.0, threshold=0.8)
    model.layers[0].gate.price.assign(1.5)
    assert shares(open_units(model, REFERENCE, DRIFTED)) == [1.0]
    assert gates_of(model, REFERENCE)[:, 1].sum() == 0


def test_units_that_no_update_mode_lets_learn_stay_closed():
    model = one_layer()
    set_update_mode(model, "all")
    assert shares(open_units(model, REFERENCE, DRIFTED)) == [0.0]


@pytest.mark.parametrize("options", [{"top_k": 1}, {"balance": 0.1}, {"gate": "static"}])
def test_gates_that_cannot_open_by_a_discriminant_stay_closed(options):
    options = {"gate": "linear", "block_size": 2, "name": "first", **options}
    layer = kdg.DynamicGateDense(4, **options)
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.gate.network.scaled_bias.assign([0.5, -1.5])
    if layer.gate.input_dependent:  # without a balance that opens some for half of the inputs
        layer.gate.network.kernel.assign(np.zeros((4, 2)))
    model.compile(MaskedUpdate("sgd"), "mse")
    set_update_mode(model, "inactive", REFERENCE)
    assert shares(open_units(model, REFERENCE, DRIFTED)) == [0.0]


def test_inputs_of_another_shape_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Argument `x` must hold samples of shape \(4,\)"):
        open_units(one_layer(), REFERENCE, DRIFTED[:, :3])
