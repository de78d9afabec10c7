"""Subclassed models: their `call` is recorded, or else their layers are counted one by one."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

X = np.ones((4, 8), "float32")


class Network(keras.Model):
    """Two layers, the first with a gate for each unit."""

    def __init__(self, between=ops.relu, units=4):
        super().__init__()
        self.gated = kdg.DynamicGateDense(units, gate="static", block_size=1, name="gated")
        self.last = layers.Dense(2, name="last")
        self.between = between

    def call(self, inputs, training=False):
        # Keras on JAX does not pass `training` on by itself.
        return self.last(self.between(self.gated(inputs, training=training)))


def closed(model):
    model.gated.gate.network.scaled_bias.assign([1.0, -1.0, -1.0, -1.0])
    return model


def executed(report):
    return {layer.name: (layer.dense, layer.executed) for layer in report.layers}


def test_a_subclassed_model_counts_like_a_functional_one():
    model = Network()
    model(X)
    report = kdg.count_macs(closed(model))
    assert executed(report) == {"gated": (32, 8), "last": (8, 2)}
    assert report.not_counted == []
    assert executed(kdg.count_macs(model, X)) == executed(report)


def test_inputs_of_any_structure_are_taken_from_x_or_from_the_first_call():
    class Two(Network):
        def call(self, inputs):
            return super().call(inputs["one"]) + super().call(inputs["other"])

    model, x = Two(), {"one": X, "other": X}
    assert kdg.count_macs(model, x).dense == 2 * 40
    assert kdg.count_macs(model).dense == 2 * 40


def out_of_sight(x):
    """Depend on whether there are values, so that no symbolic tensor passes."""
    if isinstance(x, keras.KerasTensor):
        raise TypeError
    return x


def test_where_the_call_cannot_be_recorded_the_layers_count_and_the_rest_is_named():
    model = Network(between=out_of_sight)
    kdg.count_macs(model, X)  # builds it
    closed(model)
    report = kdg.count_macs(model, X)
    # Nobody knows what lies between them, so the closed units save no rows.
    assert executed(report) == {"gated": (32, 8), "last": (8, 8)}
    assert report.not_counted == [f"{model.name} (Network)"]
    assert report.uncounted == 0


def test_a_model_that_was_never_called_says_what_to_do():
    with pytest.raises(ValueError, match="is subclassed, and what it is called on .* Call it once"):
        kdg.count_macs(Network())


@pytest.mark.parametrize(("between", "target"), [(ops.relu, 0.5), (out_of_sight, 0.6)])
def test_budget_and_summary_work_on_subclassed_models(between, target):
    model = Network(between, units=64)
    model(X)  # Keras on TensorFlow does not build it before the callbacks begin.
    model.compile(keras.optimizers.SGD(0.01), "mse")
    callbacks = [kdg.MacBudget(target), kdg.GateSummary(X, verbose=0)]
    history = model.fit(X, X[:, :2], batch_size=1, epochs=40, verbose=0, callbacks=callbacks)
    assert history.history["relative_macs"][-1] == pytest.approx(target, abs=0.05)
