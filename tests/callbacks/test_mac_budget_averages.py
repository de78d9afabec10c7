import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 64)).astype("float32")
Y = (X[:, :8].sum(axis=1) > 0).astype("int32")
EPOCHS = 20


def train(*callbacks, **averaging):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGate(seed=1),
            kdg.DynamicGateDense(64, "relu", seed=2),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    falling = keras.optimizers.schedules.CosineDecay(5e-3, 16 * EPOCHS)
    model.compile(keras.optimizers.Adam(falling, **averaging), loss)
    budget = kdg.MacBudget(0.3)
    fit = {"batch_size": 16, "epochs": EPOCHS, "verbose": 0}
    history = model.fit(X, Y, callbacks=[*callbacks, budget], **fit)
    return model, history.history


def test_averaged_weights_cost_what_the_budget_allows_also_in_the_file(tmp_path):
    model, _ = train(use_ema=True, ema_momentum=0.999)
    assert kdg.count_macs(model, X).relative == pytest.approx(0.3, abs=0.02)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert kdg.count_macs(loaded, X).relative == pytest.approx(0.3, abs=0.02)


def test_averages_that_stand_in_for_the_weights_cost_what_the_budget_allows():
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    _, history = train(swap, kdg.GateSummary(X, verbose=0), use_ema=True, ema_momentum=0.999)
    assert history["relative_macs"][-1] == pytest.approx(0.3, abs=0.02)
