"""Units that are kept closed for the reference."""

import keras
import numpy as np
import pytest
from plasticity.small_models import DRIFTED, REFERENCE, numpy, two_gated_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import inactive_units, reserve_units

# Such small layers save little.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


def test_least_used_gates_are_closed_for_the_reference():
    model = two_gated_layers()
    reserved = reserve_units(model, REFERENCE, 0.75)
    closed = inactive_units(model, REFERENCE)
    for path, mask in reserved.items():
        assert mask.sum() == 3
        assert closed[path].tolist() == mask.tolist()
    # These were closed before, so that they come first.
    assert reserved["first"][:2].all()
    assert reserved["block"][0]


def test_answers_stay_where_the_reserved_gates_were_closed():
    model = two_gated_layers()
    before = model.predict(REFERENCE, verbose=0), model.predict(DRIFTED, verbose=0)
    reserve_units(model, REFERENCE, 0.25)
    np.testing.assert_array_equal(model.predict(REFERENCE, verbose=0), before[0])
    np.testing.assert_array_equal(model.predict(DRIFTED, verbose=0), before[1])


def test_bias_falls_just_below_what_the_reference_asks_for():
    layer = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.gate.network.kernel.assign([[1.0, 9.0]])
    layer.gate.network.scaled_bias.assign([0.0, 0.0])
    reserve_units(model, np.array([[3.0], [1.0]], "float32"), 0.5)
    # The highest logit of gate 0 was 3: it is -.1 afterwards, and stored as a tenth.
    np.testing.assert_allclose(numpy(layer.gate.network.scaled_bias), [-0.31, 0.0], atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"top_k": 1}, {"min_open": 0.5}, {"balance": 0.1, "gate": "linear"}]
)
def test_gates_that_are_not_decided_one_by_one_are_refused(options):
    layer = kdg.DynamicGateDense(4, **{"gate": "linear", "block_size": 2, **options})
    model = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(ValueError, match="must have gates that are decided one by one"):
        reserve_units(model, REFERENCE)


@pytest.mark.parametrize("share", [0, 1, "half", True])
def test_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="Argument `share` must be a number above 0 and below 1"):
        reserve_units(two_gated_layers(), REFERENCE, share)
