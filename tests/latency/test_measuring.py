"""What is measured, with made-up times: no time is tested."""

import keras
import numpy as np
import pytest
from keras import ops
from latency.small_tables import two_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.engine.forced_shares import force_shares
from keras_dynamicgate.engine.plan import make_plan
from keras_dynamicgate.latency import measuring
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.deployment import deploy_compacted, deploy_engine


def dynamic_model(**arguments):
    return keras.Sequential(
        [
            keras.Input((16,)),
            kdg.DynamicGate(name="features"),
            kdg.DynamicGateDense(32, "relu", block_size=4, name="hidden", **arguments),
            keras.layers.Dense(2, name="out"),
        ]
    )


@pytest.fixture
def made_up(monkeypatch):
    """Times of 1 ms and 3 more for each share of the inputs and hidden units together."""

    def timed(deployments, batches, rounds, progress):
        times = []
        for each in deployments:
            shares = [float(np.mean(mask)) for mask in each.averages.values()]
            times.append(1.0 + 3.0 * shares[0] * shares[1])
        return np.array(times)

    monkeypatch.setattr(measuring, "_timed", timed)


def test_table_says_what_was_measured(made_up):
    model = two_layers()
    before = [ops.convert_to_numpy(weight).copy() for weight in model.weights]
    table = kdg.LatencyTable.measure(model, shares=(0.5, 1.0), verbose=0)
    assert [times.layer for times in table.products] == ["hidden", "out"]
    assert table.products[0].input_shares == (0.0, 0.5, 1.0)
    assert table.products[1].output_shares == (1.0,)
    assert table.error < 0.02
    assert kdg.predict_time(model, table).milliseconds == pytest.approx(4.0, rel=0.02)
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


def test_compacted_models_have_the_widths_that_are_asked(monkeypatch):
    made = []
    monkeypatch.setattr("keras_dynamicgate.latency.deployment.runner", made.append)
    model = two_layers()
    shares = {"features": 0.5, "hidden": 0.75}
    random = np.random.default_rng(0)
    x = np.ones((3, 4), "float32")
    deployment = deploy_compacted(
        model, DeployedCost(model, "compact"), shares, x, random, threads=None
    )
    small = made[0]
    assert tuple(small.get_layer("hidden").kernel.shape) == (2, 6)
    assert tuple(small.get_layer("out").kernel.shape) == (6, 2)
    means = {gate: float(mask.mean()) for gate, mask in deployment.averages.items()}
    assert [means[layer.gate] for layer in model.layers[:2]] == [0.5, 0.75]
    assert deployment.setup.batch_size == 3


def test_top_k_gates_are_measured_as_they_are(made_up):
    model = dynamic_model(gate="static", top_k=2)
    deployed = DeployedCost(model, "compact")
    x = np.ones((1, 16), "float32")
    shares = dict.fromkeys(deployed.gates, 0.25)
    found = deploy_compacted(model, deployed, shares, x, np.random.default_rng(0), None)
    assert float(found.averages[deployed.gates["hidden"]].mean()) == 0.25
    assert float(found.averages[deployed.gates["features"]].mean()) == 0.25


@pytest.mark.filterwarnings("ignore:Numba")
def test_engine_runs_the_shares_that_are_asked():
    model = dynamic_model()
    deployed = DeployedCost(model, "engine")
    x = np.ones((2, 16), "float32")
    shares = {"features": 0.5, "hidden": 0.25}
    found = deploy_engine(model, deployed, shares, x, np.random.default_rng(0), threads=1)
    means = {name: float(found.averages[gate].mean()) for name, gate in deployed.gates.items()}
    assert means == {"features": 0.5, "hidden": pytest.approx(0.25, abs=0.002)}
    assert found.run(x).shape == (2, 2)
    assert (found.setup.runtime, found.setup.threads) == ("engine", 1)


def test_forced_masks_differ_from_input_to_input_and_leave_top_k_alone():
    plan = make_plan(dynamic_model())
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 16))
    assert force_shares(plan, {"hidden": 0.5}, x, random) == {"hidden": 0.5}
    plan = make_plan(dynamic_model(top_k=2))
    assert force_shares(plan, {"hidden": 0.5}, x, random) == {"hidden": 0.25}


@pytest.mark.filterwarnings("ignore:Numba")
def test_engine_of_a_plan_is_the_engine_of_its_model():
    model = dynamic_model()
    x = np.random.default_rng(0).normal(size=(3, 16)).astype("float32")
    engine = InferenceEngine.of_plan(make_plan(model), threads=1)
    np.testing.assert_array_equal(engine.predict(x), InferenceEngine(model, threads=1).predict(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "tpu"}, r"`runtime` must be one of 'compact', 'engine'.*runtime='tpu'"),
        ({"batch_size": 0}, r"`batch_size` must be a positive integer"),
        ({"rounds": 0}, r"`rounds` must be a positive integer"),
        ({"threads": 0}, r"`threads` must be a positive integer"),
        ({"shares": (0.5,)}, r"`shares` must be a list or tuple of numbers that rise up to 1"),
        ({"shares": (1.0, 0.5)}, r"`shares` must be a list or tuple of numbers that rise up to 1"),
        ({"shares": (0.0, 1.0)}, r"`shares` must be a number above 0"),
        ({"shares": 0.5}, r"`shares` must be a list or tuple"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdg.LatencyTable.measure(two_layers(), **arguments)


def test_models_that_cannot_be_measured_are_refused():
    layers = [kdg.DynamicGateDense(8, top_k=2, gate="static", block_size=1)]
    fixed = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"`model` must have gates that make it quicker"):
        kdg.LatencyTable.measure(fixed)
    inputs = keras.Input((None, 4))
    of_open_length = keras.Model(inputs, kdg.DynamicGate()(inputs))
    with pytest.raises(ValueError, match=r"input of known sizes.*shape \(None, 4\)"):
        kdg.LatencyTable.measure(of_open_length)
    one, other = keras.Input((4,)), keras.Input((4,))
    both = keras.layers.Concatenate()([kdg.DynamicGate()(one), other])
    of_two = keras.Model([one, other], keras.layers.Dense(2)(both))
    with pytest.raises(ValueError, match=r"must have one input.*2 inputs"):
        kdg.LatencyTable.measure(of_two)
