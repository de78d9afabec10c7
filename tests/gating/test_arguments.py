import inspect

import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.gating import arguments
from keras_dynamicgate.gating.gate import Gate

GATED = [kdg.DynamicGate, kdg.DynamicGateDense, kdg.DynamicGateMLP, kdg.DynamicGateConv2D, Gate]
NAMES = list(arguments.GateArguments.__annotations__)


def test_every_argument_has_a_default():
    assert list(arguments.DEFAULTS) == NAMES


@pytest.mark.parametrize("layer", GATED)
def test_signature_names_each_argument_with_its_default(layer):
    parameters = inspect.signature(layer).parameters
    shown = {name: parameters[name].default for name in NAMES}
    assert shown == arguments.DEFAULTS
    assert list(parameters)[-1] == "kwargs"


@pytest.mark.parametrize("layer", GATED)
def test_docstring_explains_each_argument_once(layer):
    text = inspect.getdoc(layer)
    assert [text.count(f"\n    {name}: ") for name in NAMES] == [1] * len(NAMES)
    assert text.index("    seed: ") < text.index("    **kwargs: ") < text.index("Raises:")


def test_config_holds_each_argument():
    given = {
        "temperature": 2.0,
        "threshold": 0.25,
        "top_k": None,
        "estimator": "threshold",
        "initial_open": 0.75,
        "min_open": 0.5,
        "balance": 0.25,
        "usage_regularizer": None,
        "seed": 3,
    }
    config = kdg.DynamicGateDense(4, **given).get_config()
    assert {name: config[name] for name in NAMES} == given


def test_an_unknown_argument_is_refused_as_by_keras():
    with pytest.raises(ValueError, match="tempreature"):
        kdg.DynamicGateDense(4, tempreature=2.0)
