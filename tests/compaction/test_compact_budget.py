import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.price_table import BUDGET, COLUMNS, PRICE

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


def elastic_model():
    """A model whose static gates have logits from -3 to 4 and charge 1.5 or 3.5, at two budgets."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            kdg.DynamicGateDense(8, "relu", gate="static", block_size=1, name="static"),
            kdg.DynamicGate("linear", name="dependent"),
            keras.layers.Dense(2),
        ]
    )
    gate = model.get_layer("static").gate
    gate.network.scaled_bias.assign(np.arange(-3, 5) / 10)
    for layer in model.layers[:2]:
        rows = np.zeros((2, COLUMNS))
        rows[:, BUDGET], rows[:, PRICE] = [0.5, 0.2], [1.5, 3.5]
        layer.gate.price_table.set_rows(rows)
    return model


@pytest.mark.parametrize(("budget", "units"), [(0.5, 3), (0.2, 1)])
def test_one_trained_model_gives_plain_models_of_several_sizes(budget, units):
    model = elastic_model()
    small = kdg.compact(model, budget=budget)
    assert small.get_layer("static").units == units
    # The original stands as it stood, also after the smaller one was made.
    assert float(model.get_layer("static").gate.price) == 0.0
    kdg.set_budget(model, budget)
    np.testing.assert_allclose(small.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)


def test_smaller_model_was_trained_for_one_budget():
    small = kdg.compact(elastic_model(), budget=0.5)
    assert small.get_layer("dependent").gate is not None
    assert kdg.budgets(small) == ()


def test_budget_that_the_model_was_not_trained_for_is_refused():
    with pytest.raises(ValueError, match=r"`budget` must be a number from 0.2 to 0.5"):
        kdg.compact(elastic_model(), budget=0.1)
