import json

import keras
import numpy as np
import pytest
from harness import of_an_older_file
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import MagnitudePrunedDense, RigLDense
from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.macs.model_cost import model_cost

LAYERS = {"gate": "static", "block_size": 1}


def close(layer, logits):
    """Set the logits of a layer with static gates: negative ones close their gates."""
    layer.gate.network.scaled_bias.assign(logits)


def test_dense_layers_count_their_products_without_biases():
    model = keras.Sequential([keras.Input((20,)), layers.Dense(5, "relu"), layers.Dense(3)])
    report = kdg.count_macs(model)
    assert [layer.dense for layer in report.layers] == [100, 15]
    assert (report.dense, report.executed, report.gates, report.relative) == (115, 115, 0, 1.0)


def test_closed_unit_saves_its_column_and_its_row_in_the_next_layer():
    model = keras.Sequential(
        [keras.Input((20,)), kdg.DynamicGateDense(4, "relu", **LAYERS), layers.Dense(3)]
    )
    close(model.layers[0], [1, -1, -1, -1])
    report = kdg.count_macs(model)
    assert [layer.executed for layer in report.layers] == [20 * 1, 1 * 3]
    assert report.relative == pytest.approx(23 / 92)
    assert report.open_ratio == 0.25


def test_gate_on_the_input_saves_rows():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(), layers.Dense(3)])
    close(model.layers[0], [1, 1, 1, -1])
    assert kdg.count_macs(model).executed == 9


def test_static_gate_after_a_layer_saves_the_columns_of_that_layer_too():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(4, "relu"),
            layers.Dropout(0.5),
            kdg.DynamicGate(),
            layers.Dense(3),
        ]
    )
    close(model.layers[2], [1, -1, -1, -1])
    assert [layer.executed for layer in kdg.count_macs(model).layers] == [20, 0, 3]


def test_gate_computed_from_a_layers_output_saves_nothing_in_that_layer():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(4),
            kdg.DynamicGate(gate="linear", top_k=1),
            layers.Dense(3),
        ]
    )
    report = kdg.count_macs(model, np.ones((2, 20), "float32"))
    assert [layer.executed for layer in report.layers] == [80, 0, 3]
    assert report.gates == 16


def test_static_gate_saves_no_column_that_another_layer_needs():
    inputs = keras.Input((20,))
    hidden = layers.Dense(4)(inputs)
    gate = kdg.DynamicGate()
    outputs = [layers.Dense(3)(gate(hidden)), layers.Dense(3)(hidden)]
    close(gate, [1, -1, -1, -1])
    report = kdg.count_macs(keras.Model(inputs, outputs))
    assert sorted(layer.executed for layer in report.layers) == [0, 3, 12, 80]


@pytest.mark.filterwarnings("ignore:The gate network")
def test_executed_macs_are_the_mean_of_products_and_not_a_product_of_means():
    # Sample 1 opens input 1 and unit 1, sample 2 opens all four: (1 * 1 + 2 * 2) / 2 = 2.5, while
    # the product of the mean shares would give 1.5 * 1.5 = 2.25.
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGate(gate="linear"),
            kdg.DynamicGateDense(2, gate="linear", block_size=1),
        ]
    )
    for layer in model.layers:
        layer.gate.network.kernel.assign([[2, 0], [0, 2]])
        layer.gate.network.scaled_bias.assign([-0.1, -0.1])
    report = kdg.count_macs(model, np.array([[1, 0], [1, 1]], "float32"))
    assert report.layers[1].executed == 2.5
    # The gate network of the second layer reads only open inputs: 1.5 of 2 in the mean.
    assert [layer.gates for layer in report.layers] == [4, 3]
    assert report.relative == pytest.approx((2.5 + 7) / 4)
    assert report.relative_without_gates == pytest.approx(2.5 / 4)


def test_batches_do_not_change_the_averages():
    model = keras.Sequential(
        [keras.Input((64,)), kdg.DynamicGateDense(64, initial_open=0.5), layers.Dense(3)]
    )
    x = np.random.default_rng(0).normal(size=(10, 64)).astype("float32")
    whole, parts = kdg.count_macs(model, x), kdg.count_macs(model, x, batch_size=3)
    assert parts.executed == pytest.approx(whole.executed)
    assert parts.expected == pytest.approx(whole.expected)
    assert 0 < whole.executed < whole.dense


def test_expected_macs_weigh_by_probability():
    model = keras.Sequential([keras.Input((10,)), kdg.DynamicGateDense(4, **LAYERS)])
    close(model.layers[0], np.log([3.0, 3.0, 3.0, 1 / 3]) / 10)  # p = 3/4, 3/4, 3/4, 1/4
    report = kdg.count_macs(model)
    assert report.expected == pytest.approx(40 * 0.625)
    assert report.executed == pytest.approx(30)
    assert report.usage == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("activation", "executed"), [("relu", 3), ("tanh", 3), ("sigmoid", 3), ("softmax", 12)]
)
def test_mask_passes_activations_of_each_unit_alone(activation, executed):
    model = keras.Sequential(
        [
            keras.Input((20,)),
            kdg.DynamicGateDense(4, **LAYERS),
            layers.Activation(activation),
            layers.Dense(3),
        ]
    )
    close(model.layers[0], [1, -1, -1, -1])
    assert kdg.count_macs(model).layers[-1].executed == executed


@pytest.mark.parametrize(
    ("between", "executed"),
    [
        ([layers.ReLU()], 3),
        ([layers.Dropout(0.5)], 3),
        ([layers.BatchNormalization()], 3),
        ([layers.LayerNormalization()], 12),
        ([layers.Reshape((2, 2)), layers.Flatten()], 3),
    ],
)
def test_mask_passes_layers_that_keep_units_apart(between, executed):
    model = keras.Sequential(
        [keras.Input((20,)), kdg.DynamicGateDense(4, **LAYERS), *between, layers.Dense(3)]
    )
    close(model.layers[0], [1, -1, -1, -1])
    assert kdg.count_macs(model).layers[-1].executed == executed


@pytest.mark.parametrize(
    ("merge", "open_features"),
    [(layers.Add(), 2), (layers.Multiply(), 0), (layers.Concatenate(), 2)],
)
def test_masks_of_branches_merge(merge, open_features):
    inputs = keras.Input((20,))
    left, right = (kdg.DynamicGateDense(4, **LAYERS) for _ in range(2))
    model = keras.Model(inputs, layers.Dense(3)(merge([left(inputs), right(inputs)])))
    close(left, [1, -1, -1, -1])
    close(right, [-1, -1, -1, 1])
    assert kdg.count_macs(model).layers[-1].executed == 3 * open_features


def test_channel_gates_pass_pooling_and_flatten_to_convolutions_and_dense_layers():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same"),
            kdg.DynamicGate(),
            layers.MaxPooling2D(),
            layers.Conv2D(2, 3, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    close(model.layers[1], [1, 1, 1, -1])
    report = kdg.count_macs(model)
    convolution, _, second, dense = report.layers
    assert (convolution.dense, convolution.executed) == (64 * 9 * 3 * 4, 64 * 9 * 3 * 3)
    assert (second.dense, second.executed) == (16 * 9 * 4 * 2, 16 * 9 * 3 * 2)
    assert dense.executed == 32 * 10


def test_global_pooling_keeps_channel_masks():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            kdg.DynamicGate(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    close(model.layers[0], [1, 1, -1, -1])
    assert kdg.count_macs(model).layers[-1].executed == 6
    assert kdg.count_macs(model, np.ones((2, 8, 8, 4), "float32")).layers[-1].executed == 6


def test_softmax_needs_all_columns_and_closes_rows_only():
    gated = of_an_older_file(kdg.DynamicGateDense(4, **LAYERS), "softmax")
    model = keras.Sequential([keras.Input((20,)), gated, layers.Dense(3)])
    close(model.layers[0], [1, -1, -1, -1])
    assert [layer.executed for layer in kdg.count_macs(model).layers] == [80, 3]


def test_activation_of_the_users_own_counts_as_opening_everything():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            kdg.DynamicGateDense(4, **LAYERS),
            layers.Activation(lambda x: x - keras.ops.mean(x, axis=-1, keepdims=True)),
            layers.Dense(3),
        ]
    )
    close(model.layers[0], [1, -1, -1, -1])
    assert kdg.count_macs(model).layers[-1].executed == 12


@pytest.mark.filterwarnings("ignore:The gate network of layer")
def test_gated_layer_that_is_called_twice_counts_the_mean_of_its_calls():
    shared = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, [layers.Dense(3)(shared(each)) for each in inputs])
    shared.gate.network.kernel.assign([[1.0, 0.0]] + [[0.0, 0.0]] * 3)
    shared.gate.network.scaled_bias.assign([-0.05, -0.05])
    x = np.zeros((1, 4), "float32"), np.ones((1, 4), "float32")
    # No gate of two opens in the first call, one in the second: a quarter on average.
    report = kdg.count_macs(model, x)
    assert [layer.executed for layer in report.layers] == [2 * 8 / 4, 6 / 4, 6 / 4]
    assert report.open_ratio == 0.25


def test_static_gates_of_a_layer_that_is_called_twice_are_the_same_each_time():
    shared = kdg.DynamicGateDense(4, **LAYERS)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    close(shared, [1, -1, -1, -1])
    assert kdg.count_macs(model).executed == 4 * 1 + 1 * 1


@pytest.mark.filterwarnings("ignore:The gate network of layer")
def test_calls_of_a_shared_layer_may_differ_in_length():
    shared = kdg.DynamicGateDense(2, gate="linear", block_size=1)
    inputs = [keras.Input((1, 4)), keras.Input((3, 4))]
    model = keras.Model(inputs, [shared(each) for each in inputs])
    report = kdg.count_macs(model, [np.ones((2, 1, 4)), np.ones((2, 3, 4))])
    assert report.dense == 4 * 4 * 2


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.Conv1D(4, 3), (10, 2), 8 * 3 * 2 * 4),
        (layers.Conv2D(4, 3, strides=2, padding="same"), (8, 8, 2), 16 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, groups=2), (5, 5, 2), 9 * 9 * 2 * 4 // 2),
        (layers.Conv3D(4, 2), (3, 3, 3, 2), 8 * 8 * 2 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 4), 9 * 9 * 8),
        (layers.SeparableConv2D(6, 3), (5, 5, 4), 9 * 9 * 4 + 9 * 4 * 6),
        (layers.EinsumDense("abc,cd->abd", (5, 6)), (5, 4), 5 * 4 * 6),
        (layers.EinsumDense("abc,cde->abde", (5, 2, 3)), (5, 4), 5 * 4 * 6),
        (layers.EinsumDense("abcd,cde->abe", (5, 6)), (5, 2, 3), 5 * 6 * 6),
        (layers.Dense(6), (5, 4), 5 * 4 * 6),
        (layers.Embedding(100, 8), (5,), 0),
    ],
)
def test_keras_layers_count_what_was_worked_out_by_hand(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer])
    report = kdg.count_macs(model)
    assert report.dense == expected
    assert report.not_counted == []


def test_attention_counts_projections_scores_and_weighted_values():
    query, value = keras.Input((5, 8)), keras.Input((7, 6))
    mask = keras.Input((5, 7), dtype="bool")
    attention = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=4)
    positional = attention(query, value, attention_mask=mask)
    by_name = attention(value=value, query=query, attention_mask=mask)
    report = kdg.count_macs(keras.Model([query, value, mask], positional))
    assert kdg.count_macs(keras.Model([query, value, mask], by_name)).dense == report.dense
    queries, keys, values = 5 * 8 * 6, 7 * 6 * 6, 7 * 6 * 8
    scores, weighted, output = 5 * 7 * 2 * 3, 5 * 7 * 2 * 4, 5 * 8 * 8
    assert report.dense == queries + keys + values + scores + weighted + output


def test_attention_along_one_axis_counts_pairs_on_that_axis_alone():
    inputs = keras.Input((5, 7, 8))
    attention = layers.MultiHeadAttention(num_heads=2, key_dim=3, attention_axes=(2,))
    report = kdg.count_macs(keras.Model(inputs, attention(inputs, inputs)))
    assert report.dense == 35 * 8 * 6 * 3 + 35 * 6 * 8 + 2 * (5 * 7 * 7) * 6


def test_feed_forward_block_saves_in_both_products():
    model = keras.Sequential([keras.Input((5, 6)), kdg.DynamicGateMLP(4, 3, **LAYERS)])
    close(model.layers[0], [1, -1, -1, -1])
    report = kdg.count_macs(model)
    assert (report.dense, report.executed) == (5 * (24 + 12), 5 * (6 + 3))


def test_gated_linear_block_has_three_products():
    block = kdg.DynamicGateMLP(4, 3, gated_linear=True, **LAYERS)
    assert kdg.count_macs(keras.Sequential([keras.Input((6,)), block])).dense == 24 + 24 + 12


def test_token_gates_average_over_positions():
    model = keras.Sequential([keras.Input((2, 2)), kdg.DynamicGate(gate="linear"), layers.Dense(5)])
    network = model.layers[0].gate.network
    network.kernel.assign([[2, 0], [0, 2]])
    network.scaled_bias.assign([-0.1, -0.1])
    # Three of the four inputs of the two positions are open.
    report = kdg.count_macs(model, np.array([[[1, 0], [1, 1]]], "float32"))
    assert report.executed == 15


def test_token_gates_reach_a_flattened_layer():
    model = keras.Sequential(
        [keras.Input((2, 2)), kdg.DynamicGate(gate="linear"), layers.Flatten(), layers.Dense(5)]
    )
    network = model.layers[0].gate.network
    network.kernel.assign([[2, 0], [0, 2]])
    network.scaled_bias.assign([-0.1, -0.1])
    report = kdg.count_macs(model, np.array([[[1, 0], [1, 1]]], "float32"))
    assert report.executed == 15


def test_sparse_layers_count_the_weights_that_they_keep_and_say_that_this_is_theoretical():
    layer = MagnitudePrunedDense(3, name="sparse")
    model = keras.Sequential([keras.Input((5, 2)), layer, layers.Dense(4)])
    full = kdg.count_macs(model)
    assert (full.executed, full.theoretical) == (5 * 6 + 5 * 12, False)
    assert "theoretical" not in str(full)
    layer.keep(np.array([[1, 0, 0], [1, 0, 1]], "bool"))
    report = kdg.count_macs(model)
    assert [layer.executed for layer in report.layers] == [5 * 3, 5 * 12]
    assert [layer.theoretical for layer in report.layers] == [True, False]
    assert report.relative == pytest.approx(75 / 90)
    assert report.to_dict()["theoretical"] is True
    assert "15*" in str(report)
    assert "* theoretical: single weights that are 0" in str(report)


@pytest.mark.filterwarnings("ignore:The gate network")
def test_gated_sparse_layer_executes_the_kept_weights_between_open_inputs_and_open_units():
    sparse = RigLDense(2)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGate(gate="linear"),
            kdg.DynamicGateDense(2, dense=sparse, gate="linear", block_size=1),
        ]
    )
    sparse.kept.assign([[True, False], [True, True]])
    for layer in model.layers:
        layer.gate.network.kernel.assign([[2, 0], [0, 2]])
        layer.gate.network.scaled_bias.assign([-0.1, -0.1])
    # Sample 1 opens input 1 and unit 1, whose weight is kept; sample 2 opens input 2 and unit 2,
    # likewise; sample 3 opens everything, of which 3 weights are kept.
    report = kdg.count_macs(model, np.array([[1, 0], [0, 1], [1, 1]], "float32"))
    assert report.layers[1].executed == pytest.approx((1 + 1 + 3) / 3)
    assert report.layers[1].theoretical


def test_average_cost_of_sparse_layers_without_gates_is_the_kept_share():
    product = kdg.macs.Product(8, kept=np.array([[1, 0], [1, 1]]))
    assert float(product.executed_on_average({})) == 6.0
    assert product.executed({}) == 6.0


def test_average_cost_of_sparse_gated_layers_knows_where_weights_are_kept():
    sparse = kdg.baselines.RigLDense(2, sparsity=0.25)
    gated = kdg.DynamicGateDense(2, dense=sparse, **LAYERS)
    model = keras.Sequential([keras.Input((2,)), kdg.DynamicGate(), gated])
    cost = model_cost(model)
    inputs, units = (layer.gate for layer in model.layers)
    averages = {inputs: ops.array([1.0, 0.5]), units: ops.array([0.5, 1.0])}
    [product] = [product for product in cost.all_products() if not product.of_gate]
    # Input 1 is always open and input 2 half of the time; unit 1 half of the time, unit 2 always.
    for kept, macs in (
        ([[True, False], [True, True]], 1 * 0.5 + 0.5 * (0.5 + 1)),
        ([[False, True], [True, True]], 1 * 1 + 0.5 * (0.5 + 1)),
    ):
        sparse.kept.assign(kept)
        assert float(product.executed_on_average(averages)) == macs


def test_average_cost_behind_a_sum_counts_what_both_branches_open_once():
    inputs = keras.Input((20,))
    left, right = (kdg.DynamicGateDense(4, **LAYERS) for _ in range(2))
    outputs = layers.Dense(3, name="last")(layers.Add()([left(inputs), right(inputs)]))
    [product] = model_cost(keras.Model(inputs, outputs)).products["last"]
    averages = {left.gate: ops.full((4,), 0.5), right.gate: ops.full((4,), 0.25)}
    # Closed where both are: .5 * .75.
    assert float(product.executed_on_average(averages)) == 4 * 3 * (1 - 0.375)


def test_token_gates_meet_sparse_weights_at_each_position():
    sparse = MagnitudePrunedDense(2)
    model = keras.Sequential([keras.Input((2, 2)), kdg.DynamicGate(gate="linear"), sparse])
    network = model.layers[0].gate.network
    network.kernel.assign([[2, 0], [0, 2]])
    network.scaled_bias.assign([-0.1, -0.1])
    sparse.keep(np.array([[1, 0], [1, 1]], "bool"))
    # Input 1 has one weight: 1 at the first position, 1 + 2 at the second.
    report = kdg.count_macs(model, np.array([[[1, 0], [1, 1]]], "float32"))
    assert report.executed == 4


def test_models_inside_models_are_followed():
    inner = keras.Sequential(
        [keras.Input((20,)), kdg.DynamicGateDense(4, "relu", **LAYERS)], name="inner"
    )
    close(inner.layers[0], [1, -1, -1, -1])
    inputs = keras.Input((20,))
    report = kdg.count_macs(keras.Model(inputs, layers.Dense(3)(inner(inputs))))
    assert [layer.executed for layer in report.layers] == [20, 3]
    assert report.layers[0].name.startswith("inner/")


def test_layer_that_is_called_twice_counts_twice():
    shared = layers.Dense(20)
    inputs = keras.Input((20,))
    report = kdg.count_macs(keras.Model(inputs, shared(shared(inputs))))
    assert report.dense == 800


def test_unknown_layers_are_named():
    class Unknown(layers.Layer):
        def call(self, x):
            return ops.convert_to_tensor(ops.convert_to_numpy(x))

        def compute_output_shape(self, input_shape):
            return input_shape

    model = keras.Sequential([keras.Input((4,)), Unknown(name="strange"), layers.Dense(3)])
    report = kdg.count_macs(model)
    assert report.not_counted == ["strange (Unknown)"]
    assert "Not counted: strange (Unknown)." in str(report)


def test_layer_of_the_users_own_can_state_its_cost():
    class Double(layers.Dense):
        def cost(self, inputs):
            product = kdg.macs.Product(7)
            return [product], kdg.macs.Flow((self.units,))

    report = kdg.count_macs(keras.Sequential([keras.Input((4,)), Double(3)]))
    assert report.dense == 7


def test_without_samples_static_gates_are_exact_and_others_from_the_last_training_batch():
    model = keras.Sequential(
        [keras.Input((64,)), kdg.DynamicGateDense(64, "relu"), layers.Dense(10)]
    )
    gate = model.layers[0].gate
    gate.open_ratio.assign(np.full(gate.gates, 0.25))
    report = kdg.count_macs(model)
    assert report.executed == pytest.approx(0.25 * report.dense)
    assert report.samples is None
    assert "means of the last training batch" in str(report)


def test_several_inputs_are_cut_into_batches_together():
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    merged = layers.Concatenate()([kdg.DynamicGate()(inputs["a"]), inputs["b"]])
    model = keras.Model(inputs, layers.Dense(3)(merged))
    x = {name: np.ones((5, 4), "float32") for name in "ab"}
    report = kdg.count_macs(model, x, batch_size=2)
    assert (report.samples, report.executed) == (5, 24)


def test_report_is_a_readable_table_and_json():
    model = keras.Sequential(
        [keras.Input((64,)), kdg.DynamicGateDense(64, name="hidden"), layers.Dense(10)]
    )
    report = kdg.count_macs(model, np.ones((3, 64), "float32"))
    text = str(report)
    for word in (
        "hidden",
        "dense",
        "executed",
        "gates",
        "relative",
        "open ratio",
        "total",
        "4,736",
        "3 samples",
        "biases",
    ):
        assert word in text
    content = json.loads(json.dumps(report.to_dict()))
    assert content["dense"] == 4736
    assert content["layers"][0]["name"] == "hidden"


def test_counting_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGateDense(64), layers.Dense(10)])
    before = [weight.copy() for weight in model.get_weights()]
    nodes = len(model.layers[0]._inbound_nodes)
    kdg.count_macs(model, np.ones((3, 64), "float32"))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert len(model.layers[0]._inbound_nodes) == nodes


def test_model_without_shapes_says_how_to_give_it_some():
    with pytest.raises(ValueError, match=r"not built.* `keras.Input`"):
        kdg.count_macs(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ValueError, match=r"axis of unknown size.*shape=\(None, 4\)"):
        kdg.count_macs(keras.Sequential([keras.Input((None, 4)), layers.Dense(3)]))


def test_no_samples_are_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"`x` must hold at least one sample"):
        kdg.count_macs(model, np.ones((0, 4)))


def gated_convolutions(**arguments):
    """Give 3x3 convolutions of 6x6 to 4x4, pooled to 2x2, and to 1 position, both gated."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            kdg.DynamicGateConv2D(4, 3, activation="relu", block_size=2, **arguments),
            layers.MaxPooling2D(),
            kdg.DynamicGateConv2D(4, 2, block_size=2, **arguments),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def test_closed_channels_save_their_filters_and_what_consumes_them_through_pooling():
    model = gated_convolutions(gate="static")
    close(model.layers[0], [1, -1])
    close(model.layers[2], [-1, 1])
    report = kdg.count_macs(model)
    # Half of 16 positions x 9 x 2 x 4, a quarter of 4 x 4 x 4, half of 4 x 3.
    assert [layer.dense for layer in report.layers] == [1152, 64, 12]
    assert [layer.executed for layer in report.layers] == [576, 16, 6]


@pytest.mark.filterwarnings("ignore:The gate network")
def test_channel_gates_are_counted_for_each_sample_and_read_only_open_channels():
    model = gated_convolutions(gate="linear", estimator="threshold")
    first, second = model.layers[0].gate.network, model.layers[2].gate.network
    # The first gate is open in the first sample alone, all others are always open.
    first.kernel.assign([[2.0, 0], [0, 0]])
    first.scaled_bias.assign([-0.1, 1])
    second.kernel.assign(np.zeros((4, 2)))
    second.scaled_bias.assign([1, 1])
    x = np.stack([np.ones((6, 6, 2)), np.zeros((6, 6, 2))]).astype("float32")
    report = kdg.count_macs(model, x)
    # Means of 1 and 1/2 of everything that the first gates decide.
    assert [layer.executed for layer in report.layers] == [0.75 * 1152, 0.75 * 64, 12]
    assert [layer.gates for layer in report.layers] == [2 * 2, 0.75 * 4 * 2, 0]


@pytest.mark.parametrize(("block_size", "executed"), [(1, 8), (2, 4)])
def test_channel_gates_in_groups_save_whole_groups_and_no_rows(block_size, executed):
    gate = {"gate": "static", "block_size": block_size}
    model = keras.Sequential(
        [
            keras.Input((1, 1, 4)),
            kdg.DynamicGate(),
            kdg.DynamicGateConv2D(4, 1, groups=2, **gate),
        ]
    )
    close(model.layers[0], [1, 1, -1, -1])
    close(model.layers[1], [1, -1, -1, -1][: 4 // block_size])
    assert kdg.count_macs(model).executed == executed


@pytest.mark.filterwarnings("ignore:The gate network")
def test_behind_an_offset_only_static_gates_save_rows():
    gates = [{"gate": "static"}, {"gate": "linear", "estimator": "threshold"}]
    executed = []
    for arguments in gates:
        gated = kdg.DynamicGateDense(4, block_size=1, **arguments)
        model = keras.Sequential(
            [keras.Input((2,)), gated, layers.BatchNormalization(), layers.Dense(3)]
        )
        close(gated, [1, -1, -1, -1])
        executed.append(kdg.count_macs(model, np.zeros((1, 2))).layers[-1].executed)
    assert executed == [3, 12]


def test_offset_that_differs_by_position_needs_all_units():
    gated = kdg.DynamicGateDense(2, **LAYERS)
    inputs = keras.Input((2, 3))
    by_position = keras.ops.reshape(keras.ops.arange(4.0), (2, 2))
    model = keras.Model(inputs, layers.Dense(1)(gated(inputs) + by_position))
    close(gated, [1, -1])
    assert kdg.count_macs(model).layers[-1].executed == 4


def test_zeros_go_through_padding_and_other_constants_do_not():
    def rows(*between):
        gate = kdg.DynamicGate()
        conv = layers.Conv2D(1, 1, name="conv")
        model = keras.Sequential([keras.Input((2, 2, 4)), gate, *between, conv])
        close(gate, [1, -1, -1, -1])
        last = kdg.count_macs(model).layers[-1]
        return last.executed / last.dense

    assert rows(layers.ZeroPadding2D()) == 0.25
    assert rows(layers.BatchNormalization()) == 0.25
    assert rows(layers.BatchNormalization(), layers.ZeroPadding2D()) == 1
    assert rows(layers.DepthwiseConv2D(3, padding="same")) == 0.25
    depthwise = layers.DepthwiseConv2D(3, padding="same")
    assert rows(layers.BatchNormalization(), depthwise) == 1


def test_gate_behind_a_depthwise_convolution_saves_its_channels_and_the_filters_before_it():
    gate = kdg.DynamicGate()
    chain = [
        layers.Conv2D(4, 1, name="conv"),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        layers.BatchNormalization(),
    ]
    model = keras.Sequential([keras.Input((2, 2, 5)), *chain, gate])
    close(gate, [1, -1, -1, -1])
    shares = {each.name: each.executed / each.dense for each in kdg.count_macs(model).layers[:2]}
    assert shares == {"conv": 0.25, "depthwise": 0.25}


def test_channels_that_squeeze_and_excite_multiplies_by_are_as_closed_as_what_it_multiplies():
    gate = kdg.DynamicGate()
    inputs = keras.Input((2, 2, 4))
    gated = gate(inputs)
    squeezed = layers.GlobalAveragePooling2D()(gated)
    squeezed = layers.Reshape((1, 1, 4))(squeezed)
    squeezed = layers.Conv2D(2, 1, activation="relu", name="reduce")(squeezed)
    excited = layers.Conv2D(4, 1, activation="sigmoid", name="expand")(squeezed)
    model = keras.Model(inputs, layers.Conv2D(1, 1)(layers.Multiply()([gated, excited])))
    close(gate, [1, -1, -1, -1])
    counted = [layer for layer in kdg.count_macs(model).layers if layer.dense]
    assert [layer.executed / layer.dense for layer in counted] == [0.25, 0.25, 0.25]


def test_channels_first_save_their_own_filters():
    layer = kdg.DynamicGateConv2D(4, 1, data_format="channels_first", **LAYERS)
    layer.build((None, 2, 3, 3))
    close(layer, [1, -1, -1, -1])
    (product,), output = layer.cost(Flow((2, 3, 3)))
    assert (product.macs, output.shape, output.open) == (72, (4, 3, 3), None)
    assert product.executed({layer.gate: np.array([[1.0, 0, 0, 0]])}) == 18


def test_names_in_brackets_are_printed_as_they_are():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense [red]")])
    assert "dense [red]" in str(kdg.count_macs(model))


def test_pooling_that_takes_a_timestep_mask_counts_as_without():
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.Masking(),
            kdg.DynamicGateDense(4, **LAYERS),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )
    close(model.layers[1], [1, 1, -1, -1])
    assert [layer.executed for layer in kdg.count_macs(model).layers] == [3 * 8, 4]
