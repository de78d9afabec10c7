"""What Keras's layers and operations with products cost, worked out by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")

SEQUENCE, IMAGE = (5, 3), (5, 5, 3)


def counted(layer, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    outputs = layer(inputs[0] if len(inputs) == 1 else inputs)
    report = kdg.count_macs(keras.Model(inputs, outputs))
    assert report.not_counted == []
    return report.dense


def stacked():
    return layers.RNN(layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(2)]))


@pytest.mark.parametrize(
    ("make", "shape", "macs"),
    [
        # For each step and each of 4 gates (GRU: 3): 3 inputs and 4 states to 4 units.
        (lambda: layers.LSTM(4), SEQUENCE, 5 * 4 * (3 + 4) * 4),
        (lambda: layers.LSTM(4, return_sequences=True), SEQUENCE, 5 * 4 * (3 + 4) * 4),
        (lambda: layers.GRU(4), SEQUENCE, 5 * 3 * (3 + 4) * 4),
        (lambda: layers.SimpleRNN(4), SEQUENCE, 5 * (3 + 4) * 4),
        (lambda: layers.RNN(layers.LSTMCell(4)), SEQUENCE, 5 * 4 * (3 + 4) * 4),
        (stacked, SEQUENCE, 5 * 4 * (3 + 4) * 4 + 5 * 3 * (4 + 2) * 2),
        (lambda: layers.Bidirectional(layers.LSTM(4)), SEQUENCE, 2 * 5 * 4 * (3 + 4) * 4),
        (lambda: layers.TimeDistributed(layers.Dense(4)), SEQUENCE, 5 * 3 * 4),
        (lambda: layers.TimeDistributed(layers.Conv2D(4, 3)), (2, *IMAGE), 2 * 9 * 9 * 3 * 4),
        # Each input position multiplies the whole kernel.
        (lambda: layers.Conv1DTranspose(4, 3), SEQUENCE, 5 * 3 * 3 * 4),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2), IMAGE, 25 * 9 * 3 * 4),
        # Two frames of 3 x 3 positions, 4 gates: the input's 3 and the state's 4 channels.
        (lambda: layers.ConvLSTM2D(4, 3), (2, *IMAGE), 2 * 9 * 4 * 9 * (3 + 4) * 4),
        (lambda: layers.ConvLSTM1D(4, 3, return_sequences=True), (2, 5, 3), 2 * 3 * 4 * 3 * 7 * 4),
        (lambda: layers.Resizing(2, 2), IMAGE, 0),
        (lambda: layers.RandomFlip(), IMAGE, 0),
    ],
)
def test_layers_with_products_cost_what_was_worked_out_by_hand(make, shape, macs):
    assert counted(make(), shape) == macs


@pytest.mark.parametrize(("scaled", "macs"), [(True, 5 * 2 * (3 + 3)), (False, 5 * 2 * 3)])
def test_additive_attention_weighs_each_pair(scaled, macs):
    assert counted(layers.AdditiveAttention(use_scale=scaled), SEQUENCE, (2, 3)) == macs


@pytest.mark.parametrize(
    ("call", "shape", "macs"),
    [
        (lambda x: ops.tensordot(x, np.ones((3, 4)), 1), SEQUENCE, 5 * 3 * 4),
        (lambda x: ops.inner(x, np.ones((4, 3))), SEQUENCE, 5 * 3 * 4),
        (lambda x: ops.conv(x, np.ones((3, 3, 3, 4))), IMAGE, 9 * 9 * 3 * 4),
        (lambda x: ops.depthwise_conv(x, np.ones((3, 3, 3, 2))), IMAGE, 9 * 9 * 3 * 2),
        (
            lambda x: ops.separable_conv(x, np.ones((3, 3, 3, 2)), np.ones((1, 1, 6, 4))),
            IMAGE,
            9 * 9 * 3 * 2 + 9 * 6 * 4,
        ),
        (lambda x: ops.conv_transpose(x, np.ones((3, 3, 4, 3)), 2), IMAGE, 25 * 9 * 3 * 4),
        (lambda x: ops.floor(ops.nan_to_num(ops.diff(x))), (2,), 0),
    ],
)
def test_operations_with_products_cost_what_was_worked_out_by_hand(call, shape, macs):
    assert counted(call, shape) == macs


def test_a_closed_feature_saves_its_row_in_recurrent_layers_and_transposed_convolutions():
    gate = kdg.DynamicGate()
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, layers.Conv2DTranspose(4, 3)(gate(inputs)))
    gate.gate.network.scaled_bias.assign([1.0, -1.0, -1.0])
    assert kdg.count_macs(model).executed == pytest.approx(25 * 9 * 1 * 4)
    gate = kdg.DynamicGate()
    model = keras.Sequential([keras.Input(SEQUENCE), gate, layers.LSTM(4)])
    gate.gate.network.scaled_bias.assign([1.0, -1.0, -1.0])
    assert kdg.count_macs(model).executed == pytest.approx(5 * 4 * (1 + 4) * 4)


def test_a_cell_of_the_users_own_counts_at_each_step_as_far_as_it_can_be_followed():
    class Cell(layers.SimpleRNNCell):
        pass

    model = keras.Sequential([keras.Input(SEQUENCE), layers.RNN(Cell(4, name="cell"), name="own")])
    report = kdg.count_macs(model)
    assert [(layer.name, layer.dense) for layer in report.layers] == [("own/cell", 5 * 7 * 4)]
    assert report.not_counted == ["own (RNN)"]


def test_a_gated_layer_at_each_step_counts_at_each_step():
    gated = kdg.DynamicGateDense(4, gate="static", block_size=1, name="gated")
    repeated = layers.TimeDistributed(keras.Sequential([gated, layers.Dense(2, name="last")]))
    model = keras.Sequential([keras.Input(SEQUENCE), repeated])
    gated.gate.network.scaled_bias.assign([1.0, -1.0, -1.0, -1.0])
    report = kdg.count_macs(model, np.ones((2, *SEQUENCE)))
    assert [(layer.dense, layer.executed) for layer in report.layers] == [(60, 15), (40, 10)]
    assert report.open_ratio == 0.25


class Unseen(layers.Layer):
    """Multiply by a kernel of 8 x 32, in an operation that has no rule."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(8, 32))
        self.scale = self.add_weight(shape=(32,))

    def call(self, x):
        return ops.einsum("bd,dk,k->bk", x, self.kernel, self.scale)


def test_a_budget_that_misses_a_tenth_of_the_model_says_so():
    gated = kdg.DynamicGateDense(4, gate="static", block_size=1)
    model = keras.Sequential([keras.Input((8,)), Unseen(name="unseen"), gated, layers.Dense(2)])
    report = kdg.count_macs(model)
    assert (report.dense, report.uncounted) == (32 * 4 + 4 * 2, 8 * 32)
    assert "Not counted: unseen (Einsum), some 256 MACs by their kernels." in str(report)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    message = r"`MacBudget` sees what is counted, and about 65% .* not: unseen \(Einsum\)"
    with pytest.warns(UserWarning, match=message):
        model.fit(
            np.ones((2, 8)), np.ones((2, 2)), epochs=2, verbose=0, callbacks=[kdg.MacBudget(1.0)]
        )
