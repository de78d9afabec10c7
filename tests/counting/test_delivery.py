"""What of the promised savings is deliverable, with figures worked out by hand."""

import json

import keras
import numpy as np
import pytest
from compaction.random_graphs import random_model
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import MagnitudePrunedDense
from keras_dynamicgate.layers.skipping import feed_forward

STATIC = {"gate": "static", "block_size": 1}
DEPENDENT = {"gate": "linear", "block_size": 1}

pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


def close(layer, logits):
    """Set the logits of static gates, or the biases of a linear gate network without a kernel."""
    for weight in layer.gate.network.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    layer.gate.network.scaled_bias.assign(logits)


def delivered(report):
    """Give the promised and the deliverable MACs of each layer, rounded."""
    return {
        layer.name: (round(layer.executed + layer.gates), round(layer.deliverable))
        for layer in report.layers
    }


def reasons(report):
    return {layer.name: layer.not_delivered for layer in report.layers if layer.not_delivered}


def chain(*between, gates=STATIC):
    """A `DynamicGateDense` of 4 units, half of them closed, and a `Dense` of 3 at last."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGateDense(4, name="gated", **gates),
            *between,
            layers.Dense(3, name="last"),
        ]
    )
    close(model.get_layer("gated"), [1, 1, -1, -1])
    return model


@pytest.mark.one_backend("torch")
def test_deliverable_is_what_the_compacted_model_costs_on_random_graphs():
    compared = 0
    for seed in range(10):
        model = random_model(seed)
        report, small = kdg.count_macs(model), kdg.count_macs(kdg.compact(model))
        assert report.deliverable == pytest.approx(small.dense + small.gates), seed
        compared += report.deliverable < report.dense
    assert compared > 3


def test_static_gates_of_a_chain_are_delivered_by_compact():
    report = kdg.count_macs(chain())
    assert delivered(report) == {"gated": (8, 8), "last": (6, 6)}
    assert report.relative_deliverable == report.relative == 14 / 28
    assert reasons(report) == {}


def test_layer_that_compact_does_not_know_reads_all_and_is_named():
    einsum = layers.EinsumDense("ab,bc->ac", 4, activation="relu", name="einsum")
    model = chain(einsum)
    report = kdg.count_macs(model)
    # The closed units are not computed, but put back as zeros.
    assert delivered(report) == {"gated": (8, 8), "einsum": (8, 16), "last": (12, 12)}
    reason = "no rule says what a EinsumDense does to closed units"
    assert reasons(report) == {"einsum": reason}
    assert f"Not all is delivered in einsum: {reason}." in report.notes()
    assert kdg.count_macs(kdg.compact(model)).dense == report.deliverable


def test_layer_that_is_called_several_times_stays_whole():
    inputs = keras.Input((4,))
    shared = kdg.DynamicGateDense(4, name="shared", **STATIC)
    model = keras.Model(inputs, layers.Dense(3, name="last")(shared(shared(inputs))))
    close(shared, [1, 1, -1, -1])
    report = kdg.count_macs(model)
    # Once on 4 open features, once on 2 of them; only the last layer reads 2.
    assert delivered(report) == {"shared": (8 + 4, 32), "last": (6, 6)}
    assert reasons(report) == {"shared": "it is called more than once, on different inputs"}
    assert kdg.count_macs(kdg.compact(model)).dense == report.deliverable


class Block(keras.layers.Layer):
    """A composite layer, which `compact` takes as it is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gated = kdg.DynamicGateDense(4, name="gated", **STATIC)
        self.out = layers.Dense(4, name="out")

    def build(self, input_shape):
        self.gated.build(input_shape)
        self.out.build(input_shape)

    def call(self, inputs, training=False):
        return self.out(self.gated(inputs, training=training))


def test_gates_inside_a_composite_layer_deliver_nothing():
    model = chain(Block(name="block"))
    close(model.get_layer("block").gated, [1, -1, -1, -1])
    report = kdg.count_macs(model)
    assert delivered(report) == {
        "gated": (8, 8),
        "block/gated": (2, 16),
        "block/out": (4, 16),
        "last": (12, 12),
    }
    reason = "no rule says what a Block does to closed units"
    assert reasons(report) == {"block/gated": reason, "block/out": reason}
    assert kdg.count_macs(kdg.compact(model)).dense == report.deliverable


def test_layers_of_inner_models_have_the_names_of_the_count():
    model = keras.Sequential([keras.Input((4,)), keras.Sequential(chain().layers, name="inner")])
    report = kdg.count_macs(model)
    assert delivered(report) == {"inner/gated": (8, 8), "inner/last": (6, 6)}


def test_sizes_that_a_model_leaves_open_are_those_of_x():
    model = keras.Sequential(
        [keras.Input((None, 4)), kdg.DynamicGateDense(4, **STATIC), layers.Dense(3)]
    )
    close(model.layers[0], [1, 1, -1, -1])
    report = kdg.count_macs(model, np.ones((1, 5, 4), "float32"))
    assert report.deliverable == 5 * 14


def test_engine_delivers_the_gates_of_a_chain_that_depend_on_the_input():
    report = kdg.count_macs(chain(layers.ReLU(), gates=DEPENDENT), np.ones((2, 4), "float32"))
    assert delivered(report) == {"gated": (8 + 16, 8 + 16), "last": (6, 6)}
    assert reasons(report) == {}


def test_engine_delivers_beside_static_gates_on_the_input():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(name="first"), *chain().layers])
    close(model.get_layer("first"), [1, 1, 1, -1])
    model = keras.Sequential(
        [
            keras.Input((4,)),
            model.get_layer("first"),
            kdg.DynamicGateDense(4, name="gated", **DEPENDENT),
            layers.Dense(3, name="last"),
        ]
    )
    close(model.get_layer("gated"), [1, 1, -1, -1])
    report = kdg.count_macs(model, np.ones((2, 4), "float32"))
    assert delivered(report) == {"first": (0, 0), "gated": (6 + 12, 6 + 12), "last": (6, 6)}


def test_where_the_engine_does_not_run_gates_that_depend_on_the_input_run_masked():
    inputs = keras.Input((4,))
    gated = kdg.DynamicGateDense(4, name="gated", **DEPENDENT)
    outputs = layers.Dense(3, name="last")(layers.Add(name="add")([inputs, gated(inputs)]))
    model = keras.Model(inputs, outputs)
    close(gated, [1, 1, -1, -1])
    report = kdg.count_macs(model, np.ones((2, 4), "float32"))
    assert delivered(report) == {"gated": (8 + 16, 16 + 16), "last": (12, 12)}
    (reason,) = reasons(report).values()
    assert reason.startswith("input-dependent gates run masked (Layer ")
    assert reason.endswith("joins or shares branches)")


def test_engine_reads_all_where_positions_are_joined():
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            kdg.DynamicGateDense(4, name="gated", **DEPENDENT),
            layers.Flatten(),
            layers.Dense(3, name="last"),
        ]
    )
    close(model.get_layer("gated"), [1, 1, -1, -1])
    report = kdg.count_macs(model, np.ones((2, 5, 4), "float32"))
    assert delivered(report) == {"gated": (5 * 24, 5 * 24), "last": (30, 60)}
    assert list(reasons(report)) == ["last"]


def test_convolutions_with_gates_that_depend_on_the_input_run_masked():
    conv = kdg.DynamicGateConv2D(2, 1, name="conv", **DEPENDENT)
    model = keras.Sequential([keras.Input((3, 3, 2)), conv])
    close(conv, [1, -1])
    report = kdg.count_macs(model, np.ones((1, 3, 3, 2), "float32"))
    assert delivered(report) == {"conv": (18 + 4, 36 + 4)}
    assert "cannot run layer 'conv' (DynamicGateConv2D)" in reasons(report)["conv"]


@pytest.mark.parametrize("execution", ["masked", "skip"])
def test_feed_forward_blocks_that_skip_deliver_outside_of_chains_too(execution, monkeypatch):
    monkeypatch.setitem(feed_forward.LEAST_BLOCK_WEIGHTS, keras.backend.backend(), 0)
    inputs = keras.Input((4,))
    mlp = kdg.DynamicGateMLP(8, 4, gate="linear", block_size=4, execution=execution, name="mlp")
    model = keras.Model(inputs, layers.Add()([inputs, mlp(inputs)]))
    close(mlp, [1, -1])
    report = kdg.count_macs(model, np.ones((1, 4), "float32"))
    promised = 32 + 8  # half of 64, and the gate network
    assert delivered(report) == {"mlp": (promised, promised if execution == "skip" else 64 + 8)}


def test_blocks_too_small_to_skip_run_masked():
    inputs = keras.Input((4,))
    mlp = kdg.DynamicGateMLP(8, 4, gate="linear", block_size=4, execution="skip", name="mlp")
    model = keras.Model(inputs, layers.Add()([inputs, mlp(inputs)]))
    close(mlp, [1, -1])
    assert kdg.count_macs(model, np.ones((1, 4), "float32")).deliverable == 64 + 8


def test_zeros_among_single_weights_deliver_nothing():
    dense = MagnitudePrunedDense(3, name="sparse")
    model = keras.Sequential([keras.Input((4,)), dense])
    dense.kept.assign(np.eye(4, 3))
    report = kdg.count_macs(model)
    assert delivered(report) == {"sparse": (3, 12)}
    assert "special kernels" in reasons(report)["sparse"]


def test_static_gates_of_a_subclassed_model_deliver_nothing():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.gated = kdg.DynamicGateDense(4, name="gated", **STATIC)

        def call(self, inputs, training=False):
            return self.gated(inputs, training=training)

    model = Network()
    model(np.ones((1, 4), "float32"))
    close(model.gated, [1, 1, -1, -1])
    report = kdg.count_macs(model)
    assert delivered(report) == {"gated": (8, 16)}
    assert "subclassed" in reasons(report)["gated"]


def test_where_compact_selects_features_the_engine_does_not_run_what_it_makes():
    inputs = keras.Input((4,))
    model = keras.Sequential(
        [
            inputs,
            kdg.DynamicGate(name="first"),
            layers.Dense(4, name="dense"),
            kdg.DynamicGate(name="second"),
            kdg.DynamicGateDense(4, name="gated", **DEPENDENT),
        ]
    )
    for name, logits in {"first": [1, 1, 1, -1], "second": [1, 1, -1, -1]}.items():
        close(model.get_layer(name), logits)
    close(model.get_layer("gated"), [1, -1, -1, -1])
    report = kdg.count_macs(model, np.ones((1, 4), "float32"))
    assert delivered(report)["dense"] == (6, 6)
    assert delivered(report)["gated"] == (2 + 8, 8 + 8)
    assert "selects features" in reasons(report)["gated"]


def test_table_and_dict_have_both_figures_and_say_which_is_which():
    report = kdg.count_macs(chain(layers.EinsumDense("ab,bc->ac", 4)))
    assert "deliverable" in str(report)
    (note,) = [note for note in report.notes() if note.startswith("Executed is")]
    assert note.endswith("0.818 of dense.")
    written = json.loads(json.dumps(report.to_dict()))
    assert written["deliverable"] == 36
    assert written["relative_deliverable"] == pytest.approx(36 / 44)
    assert [layer["deliverable"] for layer in written["layers"]] == [8, 16, 12]
