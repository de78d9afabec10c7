import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.price_table import BUDGET, COLUMNS, PRICE
from keras_dynamicgate.gating.prices import standing_at

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


def gated_model(**arguments):
    gate = kdg.LowRankGate(1)
    layers = [kdg.DynamicGate(), kdg.DynamicGateDense(16, "relu", gate=gate, **arguments)]
    return keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(2)])


def gates(model):
    return [layer.gate for layer in model.layers if hasattr(layer, "gate")]


def train_for(model, prices):
    """Give the gates of a model prices by budget, the largest budget first."""
    for gate in gates(model):
        rows = np.zeros((len(prices), COLUMNS))
        rows[:, BUDGET], rows[:, PRICE] = list(prices), list(prices.values())
        gate.price_table.set_rows(rows)


def price(model):
    (found,) = {float(ops.convert_to_numpy(gate.price)) for gate in gates(model)}
    return found


def test_trained_budgets_have_their_prices_and_others_lie_between_them_in_the_logarithm():
    model = gated_model()
    train_for(model, {0.4: -2.0, 0.3: 0.7, 0.1: 3.0})
    assert kdg.budgets(model) == (0.1, 0.3, 0.4)
    for budget, expected in {0.4: -2.0, 0.3: 0.7, 0.1: 3.0, np.float32(0.3): 0.7}.items():
        kdg.set_budget(model, budget)
        assert price(model) == np.float32(expected)
    kdg.set_budget(model, (0.3 * 0.1) ** 0.5)
    assert price(model) == pytest.approx((0.7 + 3.0) / 2)


def test_smaller_budget_never_costs_more():
    model = gated_model()
    train_for(model, {0.9: 1.0, 0.5: -1.0, 0.2: 2.0})  # the second has been trained too cheap
    costs = []
    for budget in np.linspace(0.9, 0.2, 50):
        kdg.set_budget(model, budget)
        costs.append(kdg.count_macs(model, X).relative)
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_frozen_gates_and_others_that_were_not_trained_keep_their_prices():
    model = gated_model()
    train_for(model, {0.4: 1.0, 0.2: 2.0})
    gates(model)[0].price_table.set_rows(())
    kdg.set_budget(model, 0.2)
    assert [float(ops.convert_to_numpy(gate.price)) for gate in gates(model)] == [0.0, 2.0]


@pytest.mark.parametrize("budget", [0.1, 0.5, -1, None, "0.3", float("nan")])
def test_budget_out_of_range_is_refused_with_the_range(budget):
    model = gated_model()
    train_for(model, {0.4: 1.0, 0.2: 2.0})
    with pytest.raises(ValueError, match=r"`budget` must be a number from 0.2 to 0.4, the budgets"):
        kdg.set_budget(model, budget)


def test_model_that_was_not_trained_for_several_budgets_is_told_what_to_do():
    assert kdg.budgets(gated_model()) == ()
    with pytest.raises(ValueError, match=r"trained for several .*`MacBudget\(\(0.05, 0.5\)\)`"):
        kdg.set_budget(gated_model(), 0.3)
    plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"has no gates.*`keras_dynamicgate.gate_model"):
        kdg.set_budget(plain, 0.3, X)


@pytest.mark.parametrize("budget", [0.4, 0.6, 0.9])
def test_any_gated_model_is_set_to_a_budget_on_data(budget):
    model = gated_model()
    for gate in gates(model):
        spread = np.linspace(-1.0, 1.0, gate.gates)
        gate.network.scaled_bias.assign(spread)
    kdg.set_budget(model, budget, X)
    measured = kdg.count_macs(model, X).relative
    # One gate more would cost up to an eighth of the first layer.
    assert budget - 0.13 < measured <= budget


def test_prices_on_data_move_alike_and_keep_their_differences():
    model = gated_model()
    for gate, before in zip(gates(model), (0.5, -0.5), strict=True):
        gate.price.assign(before)
    kdg.set_budget(model, 0.5, X)
    first, second = (float(ops.convert_to_numpy(gate.price)) for gate in gates(model))
    assert first - second == pytest.approx(1.0, abs=1e-4)


def test_budget_out_of_reach_on_data_is_refused_with_what_is_in_reach_and_changes_nothing():
    model = gated_model(min_open=0.5)
    dense = 8 * 16 + 16 * 2
    # With the input closed: the second product of the gate network, and half of the last layer.
    low = (16 + 8 * 2) / dense
    high = 1.0 + (8 + 16) / dense
    message = rf"`budget` must be a number from {low:.3f} to {high:.3f}, what the model costs"
    with pytest.raises(ValueError, match=message):
        kdg.set_budget(model, 0.05, X)
    assert price(model) == 0.0


def test_gates_with_top_k_are_refused_by_name_on_data():
    model = gated_model(top_k=2, name="ranked")
    with pytest.raises(ValueError, match=r"open a fixed share .* `top_k` in \['ranked'\]"):
        kdg.set_budget(model, 0.5, X)


def test_prices_are_back_behind_a_block_that_stands_at_a_budget():
    model = gated_model()
    train_for(model, {0.4: 1.0, 0.2: 2.0})
    with standing_at(gates(model), 0.2):
        assert price(model) == 2.0
    assert price(model) == 0.0


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX counts what it compiles")
def test_setting_a_budget_compiles_nothing():
    import jax

    model, compiled = gated_model(), []
    train_for(model, {0.4: 1.0, 0.2: 2.0})
    model.predict(X, verbose=0)

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        kdg.set_budget(model, 0.3)
        model.predict(X, verbose=0)
        assert compiled == []
    finally:
        jax.monitoring.clear_event_listeners()
