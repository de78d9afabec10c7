"""One engine at many budgets: what each call computes is what the model at that budget does."""

import threading

import keras
import numpy as np
import pytest
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.price_list import MOST_KEPT
from keras_dynamicgate.gating.price_table import BUDGET, COLUMNS, PRICE
from keras_dynamicgate.layers.gated_layer import gated_layers

pytest.importorskip("numba")
# The networks are too small for gates to pay.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The gate network of layer"),
    pytest.mark.filterwarnings("ignore:Numba is not installed"),
]
PRICES = {0.8: -1.5, 0.5: -0.5, 0.2: 0.5, 0.1: 1.5}
X = np.random.default_rng(1).normal(size=(20, 24)).astype("float32")


def elastic(*between):
    """A model of layers with random weights whose gates have a price for each of four budgets."""
    model = keras.Sequential([keras.Input((24,)), *between, layers.Dense(3)])
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=weight.shape[0] ** -0.5, size=weight.shape))
    for layer in gated_layers(model):
        rows = np.zeros((len(PRICES), COLUMNS))
        rows[:, BUDGET], rows[:, PRICE] = list(PRICES), list(PRICES.values())
        layer.gate.price_table.set_rows(rows)
        spread = 0.0 if layer.gate.input_dependent else 0.2
        layer.gate.network.scaled_bias.assign(np.linspace(-spread, spread, layer.gate.gates))
    return model


MODELS = {
    "dependent gates": lambda: [kdg.DynamicGateMLP(64, 16, "relu", block_size=16, gate="linear")],
    "a floor": lambda: [
        kdg.DynamicGateDense(32, "relu", block_size=8, gate="linear", min_open=0.5),
    ],
    "static gates on the input": lambda: [
        kdg.DynamicGate(),
        layers.Rescaling(2.0, offset=0.5),
        kdg.DynamicGateDense(32, "relu", block_size=8),
    ],
    "static gates with a floor": lambda: [
        kdg.DynamicGateDense(16, "relu", gate="static", block_size=2, min_open=0.25),
        kdg.DynamicGateDense(32, "relu", block_size=8),
    ],
    "static gates on hidden units and across them": lambda: [
        kdg.DynamicGateDense(32, "relu", block_size=8),
        kdg.DynamicGate(block_size=4),
        kdg.DynamicGateMLP(12, 8, "silu", gate="static", block_size=1, gated_linear=True),
    ],
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])
def test_engine_gives_what_the_model_gives_at_each_budget(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = elastic(*MODELS[name]())
    engine = kdg.InferenceEngine(model, threads=1)
    outputs = []
    np.testing.assert_allclose(engine.predict(X), model.predict(X, verbose=0), atol=1e-5)
    for budget in (0.1, 0.8, 0.3, 0.2):
        kdg.set_budget(model, budget)
        outputs.append(model.predict(X, verbose=0))
        for rows in (X, X[:1]):
            found = engine.predict(rows, budget=budget)
            np.testing.assert_allclose(found, outputs[-1][: len(rows)], atol=1e-5)
    assert not np.allclose(outputs[0], outputs[1])


def test_budget_of_the_engine_holds_for_calls_that_name_none():
    model = elastic(*MODELS["dependent gates"]())
    engine = kdg.InferenceEngine(model, threads=1)
    standing = engine.predict(X)
    assert engine.budget is None
    assert engine.budgets == (0.1, 0.2, 0.5, 0.8)
    engine.budget = 0.2
    assert engine.budget == 0.2
    np.testing.assert_array_equal(engine.predict(X), engine.predict(X, budget=0.2))
    assert not np.allclose(engine.predict(X), standing)
    engine.budget = None
    np.testing.assert_array_equal(engine.predict(X), standing)


def test_all_budgets_share_one_copy_of_the_weights():
    one = kdg.InferenceEngine(elastic(*MODELS["dependent gates"]()), threads=1)
    before = one.memory()["weights"]
    for budget in np.linspace(0.1, 0.8, 2 * MOST_KEPT):
        one.predict(X, budget=budget)
    assert one.memory()["weights"] == before
    assert len(one._price_list._kept) <= MOST_KEPT


def test_each_call_sees_one_budget_while_other_threads_set_others():
    engine = kdg.InferenceEngine(elastic(*MODELS["static gates on the input"]()), threads=2)
    right = {budget: engine.predict(X, budget=budget) for budget in PRICES}
    wrong = []

    def serve(budget):
        for _ in range(200):
            engine.budget = budget
            if not np.array_equal(engine.predict(X, budget=budget), right[budget]):
                wrong.append(budget)
            found = engine.predict(X)  # of some thread
            if not any(np.array_equal(found, each) for each in right.values()):
                wrong.append(None)

    workers = [threading.Thread(target=serve, args=(budget,)) for budget in PRICES]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_nan_in_a_feature_that_a_budget_shuts_makes_the_outputs_nan_as_in_the_model():
    model = elastic(*MODELS["static gates on the input"]())
    engine = kdg.InferenceEngine(model, threads=1)
    x = X.copy()
    x[0, 8] = np.nan  # open at .8 and shut at .1
    for budget in (0.8, 0.1):
        with pytest.warns(UserWarning, match="holds NaN in 1 of 20"):
            assert np.isnan(engine.predict(x, budget=budget)[0]).all()


@pytest.mark.parametrize("budget", [0.05, 0.9, "0.3", [0.3], float("nan")])
def test_budget_that_the_model_was_not_trained_for_is_refused(budget):
    engine = kdg.InferenceEngine(elastic(*MODELS["dependent gates"]()), threads=1)
    with pytest.raises(ValueError, match=r"`budget` must be a number from 0.1 to 0.8"):
        engine.predict(X, budget=budget)
    with pytest.raises(ValueError, match=r"`budget` must be a number from 0.1 to 0.8"):
        engine.budget = budget
    assert engine.budget is None


def test_engine_of_a_model_for_one_budget_has_no_other():
    model = keras.Sequential([keras.Input((24,)), *MODELS["dependent gates"]()])
    engine = kdg.InferenceEngine(model, threads=1)
    assert engine.budgets == ()
    with pytest.raises(ValueError, match=r"trained for several budgets"):
        engine.predict(X, budget=0.3)


@keras.saving.register_keras_serializable(package="engine_budgets")
class Bounded(kdg.GateNetwork):
    """Logits between -1 and 1."""

    def build(self, input_shape):
        shape = (input_shape[-1], self.gates)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.add_logit_bias()

    def chain(self):
        return [kdg.AffineMap(self.kernel, self.scaled_bias, "tanh")]


def test_price_is_taken_from_logits_behind_an_activation():
    model = elastic(kdg.DynamicGateDense(32, "relu", block_size=8, gate=Bounded()))
    kdg.set_budget(model, 0.1)  # closes all, which no bias of a tanh could
    engine = kdg.InferenceEngine(model, threads=1)
    np.testing.assert_allclose(engine.predict(X), model.predict(X, verbose=0), atol=1e-6)
    assert np.ptp(engine.predict(X), axis=0).max() == 0.0
