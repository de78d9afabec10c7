import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

STATIC = {"gate": "static", "block_size": 1}


def close(layer, logits):
    """Set the logits of a layer with static gates: negative ones close their gates."""
    layer.gate.network.scaled_bias.assign(logits)


class Doing(layers.Layer):
    """Does what a function says, with a kernel of shape (4, 3) and a layer inside."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.normalization = layers.BatchNormalization()

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(4, 3))
        self.normalization.build(input_shape)

    def call(self, x):
        return self.function(self, x)


def count(function, shape=(5, 4), x=None):
    inputs = keras.Input(shape)
    layer = Doing(function, name="doing")
    return kdg.count_macs(keras.Model(inputs, layer(inputs)), x)


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda self, x: x, 0),
        (lambda self, x: self.normalization(ops.sqrt(ops.abs(x)) * 2.0 + 1.0), 0),
        (lambda self, x: ops.broadcast_to(ops.ones((1, 4)), ops.shape(x)), 0),
        (lambda self, x: x @ self.kernel, 5 * 4 * 3),
        (
            lambda self, x: ops.matmul(ops.transpose(self.kernel), ops.transpose(x, (0, 2, 1))),
            3 * 4 * 5,
        ),
        (lambda self, x: ops.dot(x, self.kernel), 5 * 4 * 3),
        (lambda self, x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), 5 * 4 * 5),
        (lambda self, x: ops.einsum("bld,dk->blk", x, self.kernel), 5 * 4 * 3),
        (lambda self, x: ops.einsum("...d,dk->...k", x, self.kernel), 5 * 4 * 3),
        (lambda self, x: ops.einsum("bqd,bkd->bqk", x, x), 5 * 5 * 4),
        # Two heads of two features: 5 scores for each of 5 queries, then as many weighted values.
        (
            lambda self, x: ops.dot_product_attention(*[ops.reshape(x, (-1, 5, 2, 2))] * 3),
            2 * (5 * 5 * 2 * 2),
        ),
    ],
)
def test_a_layer_counts_what_its_operations_multiply(function, macs):
    report = count(function)
    assert (report.dense, report.not_counted) == (macs, [])
    assert [layer.name for layer in report.layers] == (["doing"] if macs else [])


@pytest.mark.parametrize(
    ("function", "entry"),
    [
        (lambda self, x: x if float(ops.max(x)) > 0 else -x, "doing (Doing)"),
        (lambda self, x: ops.convert_to_tensor(np.asarray(x)), "doing (Doing)"),
        # Products of all samples with each other, which are not a cost of one sample.
        (
            lambda self, x: ops.matmul(x[:, 0], ops.transpose(x[:, 1])),
            "doing (mixes samples)",
        ),
        (
            lambda self, x: ops.einsum("bld,dk,dk->blk", x, self.kernel, self.kernel),
            "doing (Einsum)",
        ),
    ],
)
def test_what_cannot_be_followed_or_has_no_rule_is_named(function, entry):
    inputs = keras.Input((5, 4))
    layer = Doing(function, name="doing")
    layer.build((None, 5, 4))
    layer.compute_output_shape = lambda shape: (*shape[:2], 3)
    report = kdg.count_macs(keras.Model(inputs, layer(inputs)))
    assert report.not_counted == [entry]


class Block(layers.Layer):
    """Attention and SwiGLU, with gates on one of its two first layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, name="attention")
        self.linear = kdg.DynamicGateDense(4, **STATIC, name="linear")
        self.swish = layers.Dense(4, name="swish")
        self.out = layers.Dense(8, name="out")

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)
        for layer in (self.linear, self.swish):
            layer.build(input_shape)
        self.out.build((*input_shape[:-1], 4))

    def call(self, x, mask_of_others=None):
        x = x + self.attention(query=x, value=x, attention_mask=mask_of_others)
        return x + self.out(self.linear(x) * ops.cast(ops.silu(self.swish(x)), "float32"))

    def compute_output_shape(self, input_shape):
        return input_shape


def block_model(length):
    inputs = keras.Input((length, 8))
    return keras.Model(inputs, Block(name="block")(inputs))


def test_layers_inside_are_counted_by_name_and_masks_pass_from_one_to_the_other():
    model = block_model(3)
    close(model.get_layer("block").linear, [1, -1, -1, -1])
    report = kdg.count_macs(model)
    executed = {layer.name: (layer.dense, layer.executed) for layer in report.layers}
    assert executed == {
        # Four projections of 3 x 8 x 8, 3 x 3 scores and as many weighted values of 2 x 4.
        "block/attention": (912, 912),
        "block/linear": (96, 24),
        # Its units are multiplied by closed ones, so they need not be computed.
        "block/swish": (96, 24),
        "block/out": (96, 24),
    }
    assert report.open_ratio == 0.25
    assert report.not_counted == []


def test_sizes_that_the_model_leaves_open_are_those_of_x():
    model = block_model(None)
    x = np.ones((2, 3, 8), "float32")
    assert kdg.count_macs(model, x).dense == kdg.count_macs(block_model(3)).dense
    inputs = keras.Input((3, 8))
    assert kdg.count_macs(keras.Model(inputs, model(inputs))).dense == 912 + 3 * 96
    inputs = {"a": keras.Input((None, 8), name="a")}
    named = keras.Model(inputs, model(inputs["a"]))
    assert kdg.count_macs(named, {"a": x}).dense == 912 + 3 * 96
    with pytest.raises(ValueError, match="of unknown size. Give `count_macs` inputs `x`"):
        kdg.count_macs(model)
    with pytest.raises(ValueError, match="`x` must hold an array for each input of the model"):
        kdg.count_macs(model, [x, x])


def test_counting_leaves_the_layers_as_they_were():
    model = block_model(None)
    inside = model._flatten_layers(include_self=False)
    outputs = model.get_layer("block").output

    def state():
        nodes = [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in inside]
        return nodes, [set(vars(each)) for each in inside], len(model.losses)

    before = state()
    kdg.count_macs(model, np.ones((2, 3, 8), "float32"))
    assert state() == before
    assert model.get_layer("block").output is outputs


def test_operations_between_layers_count_and_pass_masks_on():
    inputs = keras.Input((20,))
    gated = kdg.DynamicGateDense(4, **STATIC)
    hidden = ops.relu(gated(inputs)) * 2.0
    outputs = [layers.Dense(3)(hidden), layers.Dense(3)(hidden + 1.0), hidden @ np.ones((4, 3))]
    model = keras.Model(inputs, outputs)
    close(gated, [1, -1, -1, -1])
    report = kdg.count_macs(model)
    # What an offset makes of a closed unit goes into the next bias.
    assert sorted(layer.executed for layer in report.layers) == [3, 3, 3, 20]
    assert report.not_counted == []


def test_operations_that_mix_samples_are_named():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3)(inputs) @ np.ones((3, 4))
    scores = hidden @ ops.transpose(inputs)
    report = kdg.count_macs(keras.Model(inputs, scores))
    assert [layer.dense for layer in report.layers] == [12, 12]
    assert [entry.split(" ", 1)[1] for entry in report.not_counted] == ["(mixes samples)"]


def fold(x):
    """Put two windows of two positions each, and of four features, in the place of a sample."""
    return ops.reshape(x, (-1, 2, 4))


def test_axes_that_are_folded_into_the_batch_axis_count():
    dense = layers.Dense(3)
    inputs = keras.Input((4, 4))
    outputs = ops.reshape(dense(fold(inputs)), (-1, 4, 3))
    report = kdg.count_macs(keras.Model(inputs, outputs))
    assert (report.dense, report.not_counted) == (4 * 4 * 3, [])


def test_windows_of_a_sample_count_inside_layers():
    def in_windows(self, x):
        windows = fold(x)
        scores = windows @ ops.transpose(windows, (0, 2, 1))
        return ops.reshape((scores @ windows) @ self.kernel, (-1, 4, 3))

    report = count(in_windows, shape=(4, 4))
    # In each of two windows: 2 x 2 scores and weighted values of 4 features, 2 x 4 x 3 in the end.
    assert (report.dense, report.not_counted) == (2 * (16 + 16 + 24), [])


@pytest.mark.filterwarnings("ignore:The gate network of layer")
def test_masks_in_windows_average_over_them():
    gated = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    inputs = keras.Input((4, 4))
    hidden = gated(fold(inputs))
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    gated.gate.network.kernel.assign([[1.0, 0.0]] + [[0.0, 0.0]] * 3)
    gated.gate.network.scaled_bias.assign([-0.05, -0.05])
    x = np.zeros((2, 4, 4), "float32")
    x[0, 0, 0] = 1.0  # opens one gate of two at one position of eight
    report = kdg.count_macs(model, x)
    assert [layer.executed for layer in report.layers] == [4 * 4 * 2 / 16, 4 * 2 * 3 / 16]


def test_a_call_without_the_argument_training_is_followed():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Doing(lambda self, x: x @ self.kernel, name="inner")

        def build(self, input_shape):
            self.inner.build(input_shape)

        def call(self, x, training=None):
            return self.inner(x, training=training)

    inputs = keras.Input((5, 4))
    report = kdg.count_macs(keras.Model(inputs, Block(name="block")(inputs)))
    assert (report.dense, report.not_counted) == (60, [])


def test_einsum_dense_layers_of_unknown_length_are_counted_at_the_length_of_x():
    inputs = keras.Input((None, 4))
    shared = layers.EinsumDense("abc,cd->abd", (None, 4))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert kdg.count_macs(model, np.ones((1, 3, 4), "float32")).dense == 2 * 3 * 4 * 4
