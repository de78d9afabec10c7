"""How often the training step is compiled, counted by how often a layer's Python code runs."""

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
Y = X[:, :2]

pytestmark = [
    pytest.mark.filterwarnings("ignore:The training ended at", "ignore:The gates of layer"),
    pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing"),
]


class Counting(keras.layers.Layer):
    """Counts how often a training step is traced through it."""

    traced = 0

    def call(self, inputs, training=False):
        self.traced += bool(training)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.fixture
def model():
    gated = kdg.DynamicGateDense(8, "relu", seed=1)
    model = keras.Sequential([keras.Input((8,)), gated, Counting(), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    return model


def fit(model, *callbacks, epochs=1):
    model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model.layers[1].traced


def test_second_training_to_a_budget_compiles_nothing(model):
    once = fit(model, kdg.MacBudget(0.7))
    assert once > 0
    assert fit(model, kdg.MacBudget(0.7)) == once


def test_training_of_another_length_to_another_budget_compiles_nothing_and_is_steered(model):
    once = fit(model, kdg.MacBudget(0.9))
    state = model.layers[0].gate.budget_state
    assert fit(model, kdg.MacBudget(0.6, warmup=0.0, ramp=0.0), epochs=4) == once
    assert float(keras.ops.convert_to_numpy(state)[0]) == pytest.approx(1.0, abs=1e-4)
    assert float(keras.ops.convert_to_numpy(model.layers[0].gate.price)) > 0.0


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX counts what it compiles")
def test_second_training_with_a_summary_makes_jax_compile_nothing_at_all(model):
    import jax

    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    fit(model, kdg.MacBudget(0.7), kdg.GateSummary(X, verbose=0))
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        fit(model, kdg.MacBudget(0.7), kdg.GateSummary(X, verbose=0))
        assert compiled == []
        model.compile("sgd", "mse")
        fit(model)
        assert compiled != []  # so that the counter counts
    finally:
        jax.monitoring.clear_event_listeners()


def test_training_without_a_budget_in_between_is_one_without(model):
    fit(model, kdg.MacBudget(0.7))
    price = float(keras.ops.convert_to_numpy(model.layers[0].gate.price))
    state = keras.ops.convert_to_numpy(model.layers[0].gate.budget_state).copy()
    fit(model, epochs=2)
    assert float(keras.ops.convert_to_numpy(model.layers[0].gate.price)) == price
    now = keras.ops.convert_to_numpy(model.layers[0].gate.budget_state)
    np.testing.assert_array_equal(now, state)


def test_step_of_a_model_that_is_compiled_with_another_loss_is_compiled_anew(model):
    once = fit(model, kdg.MacBudget(0.9))
    model.compile("sgd", "mae")
    assert fit(model, kdg.MacBudget(0.9)) > once


def test_training_for_several_budgets_compiles_one_step_for_all_of_them(model):
    once = fit(model, kdg.MacBudget(0.7))
    several = fit(model, kdg.MacBudget([0.9, 0.8, 0.7]))
    assert several > once
    assert fit(model, kdg.MacBudget((0.6, 0.9)), epochs=6) == several
