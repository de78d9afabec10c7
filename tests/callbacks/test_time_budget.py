import dataclasses

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.product_times import ProductTimes
from keras_dynamicgate.latency.setup import Setup

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 64)).astype("float32")
Y = (X[:, :8].sum(axis=1) > 0).astype("int32")
LINE, COLUMN = ((0.0, 0.0), (0.0, 4.0)), ((0.0,), (4.0,))


def gated_model():
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGateDense(64, "relu", gate="static", block_size=1, name="one", seed=1),
            kdg.DynamicGateDense(64, "relu", gate="static", block_size=1, name="two", seed=2),
            keras.layers.Dense(2, name="out"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    falling = keras.optimizers.schedules.CosineDecay(5e-3, 16 * 30)
    model.compile(keras.optimizers.Adam(falling), loss)
    return model


def table_of(model, one=4.0, two=4.0, rest=2.0):
    """Milliseconds of the whole layers, each in proportion to its open units alone."""
    products = [
        ProductTimes("one", 0, (1.0,), (0.0, 1.0), ((0.0, one),)),
        ProductTimes("two", 0, (0.0, 1.0), (0.0, 1.0), ((0.0, two), (0.0, two))),
    ]
    signatures = DeployedCost(model, "compact").signatures
    return kdg.LatencyTable(products, rest, signatures, Setup.here("compact", 1))


def fit(model, *callbacks, epochs=30, **arguments):
    return model.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks), **arguments
    )


def open_share(model, name):
    return float(model.get_layer(name).gate.static_mask().mean())


@pytest.mark.parametrize("target", [0.7, 0.4])
def test_model_ends_at_its_share_of_the_full_time(target):
    model = gated_model()
    table = table_of(model)
    fit(model, kdg.TimeBudget(target, table))
    assert kdg.predict_time(model, table).relative == pytest.approx(target, abs=0.03)


def test_model_ends_at_its_milliseconds():
    model = gated_model()
    table = table_of(model)
    fit(model, kdg.TimeBudget(table=table, milliseconds=5.0))
    assert kdg.predict_time(model, table).milliseconds == pytest.approx(5.0, abs=0.3)


@pytest.mark.parametrize(("dear", "cheap"), [("one", "two"), ("two", "one")])
def test_the_layer_that_is_dearer_in_time_closes_first(dear, cheap):
    # Both layers have 64 x 64 MACs, and one takes nine times as long.
    model = gated_model()
    table = table_of(model, **{dear: 7.2, cheap: 0.8})
    fit(model, kdg.TimeBudget(0.6, table))
    assert kdg.predict_time(model, table).relative == pytest.approx(0.6, abs=0.03)
    assert open_share(model, dear) < open_share(model, cheap) - 0.1


def test_gates_that_save_no_time_are_left_alone():
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGateDense(64, "relu", gate="static", block_size=1, name="one", seed=1),
            kdg.DynamicGateDense(64, "relu", name="depends", seed=2),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    signatures = DeployedCost(model, "compact").signatures
    products = [ProductTimes("one", 0, (1.0,), (0.0, 1.0), ((0.0, 4.0),))]
    table = kdg.LatencyTable(products, 4.0, signatures, Setup.here("compact", 1))
    fit(model, kdg.TimeBudget(0.75, table), epochs=10)
    assert float(model.get_layer("depends").gate.price) == 0.0
    assert float(model.get_layer("one").gate.price) != 0.0


def test_time_out_of_reach_is_refused_with_the_lowest_that_is():
    model = gated_model()
    message = r"`target` is out of reach: .* at least 0.200 of the full network's 10 milliseconds"
    with pytest.raises(ValueError, match=message + r".*target=0.1$"):
        fit(model, kdg.TimeBudget(0.1, table_of(model)))
    message = r"`milliseconds` is out of reach: .* at least 0.200 .*Received: milliseconds=1.0$"
    with pytest.raises(ValueError, match=message):
        fit(model, kdg.TimeBudget(table=table_of(model), milliseconds=1.0))
    with pytest.raises(ValueError, match=r"`milliseconds` must be a number up to 10,"):
        fit(model, kdg.TimeBudget(table=table_of(model), milliseconds=11.0))


def test_table_of_another_model_is_refused_before_training():
    model = gated_model()
    table = table_of(model)
    table = dataclasses.replace(table, signatures=table.signatures[:-1])
    with pytest.raises(ValueError, match=r"`table` must be measured on a model of the same layers"):
        fit(model, kdg.TimeBudget(0.5, table))


@pytest.mark.parametrize("target", [(0.2, 0.5), [0.5, 0.3]])
def test_several_budgets_are_refused(target):
    with pytest.raises(ValueError, match=r"`target` must be one number: `MacBudget` alone trains"):
        kdg.TimeBudget(target, table_of(gated_model()))


def test_wrong_arguments_are_refused():
    table = table_of(gated_model())
    with pytest.raises(ValueError, match=r"One of `target`.* target=None, milliseconds=None"):
        kdg.TimeBudget(table=table)
    with pytest.raises(ValueError, match=r"One of `target`.* target=0.5, milliseconds=2.0"):
        kdg.TimeBudget(0.5, table, milliseconds=2.0)
    with pytest.raises(ValueError, match=r"`table` must be a `LatencyTable`.*table=None"):
        kdg.TimeBudget(0.5)
    with pytest.raises(ValueError, match=r"`target` must be a number above 0 and at most 1"):
        kdg.TimeBudget(1.5, table)
    with pytest.raises(ValueError, match=r"`milliseconds` must be a number above 0"):
        kdg.TimeBudget(table=table, milliseconds=0.0)
    with pytest.raises(ValueError, match=r"`warmup` must be a number"):
        kdg.TimeBudget(0.5, table, warmup=1.0)


def test_time_and_mac_budget_in_one_training_are_refused():
    model = gated_model()
    with pytest.raises(ValueError, match=r"can have one `TimeBudget`.*target=0.6"):
        fit(model, kdg.MacBudget(0.5), kdg.TimeBudget(0.6, table_of(model)), epochs=1)
    assert model.get_layer("one").gate.budget is None


def test_missed_time_is_warned_about():
    model = gated_model()
    budget = kdg.TimeBudget(0.3, table_of(model), warmup=0.9, ramp=0.1)
    with pytest.warns(UserWarning, match=r"ended at \d\.\d+ of the full network's 10 milliseconds"):
        fit(model, budget, epochs=1)
