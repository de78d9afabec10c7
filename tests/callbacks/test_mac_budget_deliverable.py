import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.callbacks.steered_cost import SteeredCost

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 32)).astype("float32")
Y = (X[:, :8].sum(axis=1) > 0).astype("int32")
STATIC = {"gate": "static", "block_size": 1}


class Block(layers.Layer):
    """A composite layer of 2 * 32 * 32 MACs, which `compact` takes as it is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gated = kdg.DynamicGateDense(32, "relu", **STATIC)
        self.out = layers.Dense(32)

    def build(self, input_shape):
        self.gated.build(input_shape)
        self.out.build(input_shape)

    def call(self, inputs, training=False):
        return self.out(self.gated(inputs, training=training))


def partly_compacted():
    """Gated products, of which `compact` enters some, and an `EinsumDense` that reads all."""
    model = keras.Sequential(
        [
            keras.Input((32,)),
            kdg.DynamicGateDense(96, "relu", seed=1, name="first", **STATIC),
            kdg.DynamicGateDense(32, "relu", seed=2, name="second", **STATIC),
            layers.EinsumDense("ab,bc->ac", 32),
            Block(name="block"),
            layers.Dense(2),
        ]
    )
    falling = keras.optimizers.schedules.CosineDecay(5e-3, 16 * 30)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(falling), loss)
    return model


def fit(model, budget, epochs=30, **arguments):
    model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=[budget], **arguments)


def test_budget_of_deliverable_macs_is_met_in_deliverable_macs():
    model = partly_compacted()
    fit(model, kdg.MacBudget(0.6, count="deliverable"))
    report = kdg.count_macs(model)
    assert report.relative_deliverable == pytest.approx(0.6, abs=0.02)
    assert report.deliverable == pytest.approx(kdg.count_macs(kdg.compact(model)).dense)
    assert report.relative < report.relative_deliverable - 0.03
    # Closing what saves nothing would only cost accuracy.
    (block,) = [layer for layer in report.layers if layer.name.startswith("block/dynamic")]
    assert block.open_ratio == 1.0


def test_gates_that_save_nothing_are_not_steered():
    model = keras.Sequential([keras.Input((32,)), Block(name="block")])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="those alone that save something"):
        model.fit(X, X, verbose=0, callbacks=[kdg.MacBudget(0.5, count="deliverable")])


def test_target_below_what_is_deliverable_with_closed_gates_is_refused():
    # 3 * 32 * 32 in whole layers and 32 * 2 + 32 of 9,280: nothing is left of the others.
    with pytest.raises(ValueError, match=r"out of reach: .* at least 0.338 relative MACs"):
        fit(partly_compacted(), kdg.MacBudget(0.3, count="deliverable"), epochs=1)


@pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")
def test_gates_that_run_masked_cost_all_that_they_gate_and_are_not_steered():
    inputs = keras.Input((4,))
    masked = kdg.DynamicGateDense(4, gate="linear", block_size=1)
    static = kdg.DynamicGateDense(8, "relu", **STATIC)
    hidden = static(layers.Add()([inputs, masked(inputs)]))
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    cost = SteeredCost(model, None, "deliverable")
    assert cost.gates == [static.gate]
    half = cost.relative({static.gate: ops.full((8,), 0.5)})
    # 4 * 4 and a gate network of 4 * 4, then half of 4 * 8 and of 8 * 2, of 64 without gates.
    expected = (16 + 16 + 16 + 8) / 64
    assert float(ops.convert_to_numpy(half)) == pytest.approx(expected)


def test_what_no_step_can_know_is_found_when_the_training_ends():
    # With timestep masks, `compact` keeps all that it would have to select features for.
    model = keras.Sequential(
        [
            keras.Input((3, 32)),
            layers.Masking(),
            kdg.DynamicGate(seed=1),
            layers.Dense(8),
            layers.GlobalAveragePooling1D(),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-2), "mse")
    x = ops.convert_to_numpy(ops.tile(X[:, None], (1, 3, 1)))
    budget = kdg.MacBudget(0.5, count="deliverable")
    with pytest.warns(UserWarning, match=r"at (0.9|1.0)\d* relative MACs, counted as deliverable"):
        model.fit(x, Y[:, None] * np.ones((1, 8)), epochs=10, verbose=0, callbacks=[budget])


def test_count_is_one_of_two():
    with pytest.raises(ValueError, match=r"`count` must be one of 'executed', 'deliverable'. Rec"):
        kdg.MacBudget(0.5, count="skippable")
