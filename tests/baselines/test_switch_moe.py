import keras
import numpy as np
import pytest
from harness import check_layer, gradient
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import SwitchMoE, routing

# With these inputs and `ROUTER` the router probabilities are 3/4 and 1/4, or the other way round.
A, B = [1.0, 0.0], [0.0, 1.0]
ROUTER = np.log([[3.0, 1.0], [1.0, 3.0]])


def two_experts(**arguments):
    """Experts that multiply by 10 and by 100; the first likes `A`, the second `B`."""
    layer = SwitchMoE(2, 2, **arguments)
    layer.build((None, 2))
    layer.router.kernel.assign(ROUTER)
    layer.hidden_kernel.assign(np.array([np.eye(2), np.eye(2)]))
    layer.output_kernel.assign(np.array([10 * np.eye(2), 100 * np.eye(2)]))
    return layer


def run(layer, tokens, **arguments):
    return ops.convert_to_numpy(layer(np.array(tokens, "float32"), **arguments))


def numbers(tensors):
    return [ops.convert_to_numpy(tensor).tolist() for tensor in tensors]


def training_loss(layer, tokens):
    """Give what the layer adds to the loss of a training step."""
    run(layer, tokens, training=True)
    return numbers(layer.losses)[-1]


@pytest.mark.parametrize("arguments", [{"units": 5}, {"top_k": 2, "capacity_factor": 0.5}])
def test_layer_does_what_a_keras_layer_does(arguments):
    units = arguments.get("units", 6)
    arguments = {"num_experts": 3, "hidden_units": 8, "activation": "gelu", **arguments}
    # Without the losses the router learns from the outputs alone.
    arguments |= {"balance_weight": 0, "z_weight": 0}
    check_layer(SwitchMoE, arguments, (4, 3, 6), (4, 3, units), 5, 2)


def test_token_gets_its_first_expert_times_the_router_probability():
    outputs = run(two_experts(), [A, B])
    np.testing.assert_allclose(outputs, [[7.5, 0], [0, 75]], rtol=1e-6)


def test_weights_of_two_experts_add_up_to_one():
    layer = two_experts(top_k=2)
    experts, weights = layer.route(np.array([A, B], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(experts), [[0, 1], [1, 0]])
    np.testing.assert_allclose(ops.convert_to_numpy(weights), [[0.75, 0.25]] * 2, rtol=1e-6)
    # 3/4 of ten times and 1/4 of a hundred times the first input, and so on.
    np.testing.assert_allclose(run(layer, [A, B]), [[32.5, 0], [0, 77.5]], rtol=1e-6)


def test_weights_are_normalised_over_the_chosen_experts():
    logits = np.log([[1.0, 4.0, 3.0]])
    chosen, weights = numbers(routing.choose_experts(ops.convert_to_tensor(logits), 2))
    assert chosen == [[[0, 1, 0], [0, 0, 1]]]
    assert weights == [pytest.approx([4 / 7, 3 / 7])]


def test_lower_index_wins_a_tie():
    chosen, _ = numbers(routing.choose_experts(ops.zeros((1, 3)), 2))
    assert chosen == [[[1, 0, 0], [0, 1, 0]]]


def test_biases_are_weighted_too():
    layer = two_experts()
    layer.output_bias.assign([[4, 0], [0, 8]])
    np.testing.assert_allclose(run(layer, [A, B]), [[10.5, 0], [0, 81]], rtol=1e-6)


def test_every_position_is_a_token():
    layer = two_experts()
    experts, weights = layer.route(np.array([[A, B, B]], "float32"))
    assert ops.convert_to_numpy(experts).tolist() == [[[0], [1], [1]]]
    assert tuple(weights.shape) == (1, 3, 1)
    outputs = run(layer, [[A, B, B]])
    np.testing.assert_allclose(outputs, [[[7.5, 0], [0, 75], [0, 75]]], rtol=1e-6)


def test_dropped_tokens_pass_through_unchanged_and_are_counted():
    # Four tokens, two experts, a factor of 1: room for two each, and the third `A` is one too many.
    layer = two_experts(capacity_factor=1.0)
    outputs = run(layer, [A, A, A, B], training=True)
    np.testing.assert_allclose(outputs, [[7.5, 0], [7.5, 0], [1, 0], [0, 75]], rtol=1e-6)
    assert float(layer.dropped_share) == 0.25
    assert numbers([layer.token_share]) == [[0.5, 0.25]]
    _, weights = layer.route(np.array([A, A, A, B], "float32"))
    expected = [[0.75], [0.75], [0.0], [0.75]]
    np.testing.assert_allclose(ops.convert_to_numpy(weights), expected, rtol=1e-6)


def test_dropped_second_choice_leaves_the_first_its_weight():
    # Room for two of three: the first choices come first, then the first of two second `B`.
    layer = two_experts(top_k=2, capacity_factor=0.5)
    outputs = run(layer, [B, A, A], training=True)
    np.testing.assert_allclose(outputs, [[0, 75], [32.5, 0], [7.5, 0]], rtol=1e-6)
    assert float(layer.dropped_share) == pytest.approx(1 / 3)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.token_share), [2 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("capacity_factor", "experts", "kept"), [(0.5, 2, 7), (1.2, 2, 15), (1.0, 1, 25)]
)
def test_capacity_is_rounded_up_but_not_because_of_rounding_errors(capacity_factor, experts, kept):
    # 25 tokens that all want the first expert; 25 * .5 / 2 is 6.25.
    chosen = ops.one_hot(ops.zeros((25, 1), "int32"), experts)
    assert float(ops.sum(routing.within_capacity(chosen, ops.ones(25), capacity_factor))) == kept


def test_dropless_layer_keeps_all_tokens_of_one_expert():
    layer = two_experts()
    outputs = run(layer, [A, A, A, A], training=True)
    np.testing.assert_allclose(outputs, [[7.5, 0]] * 4, rtol=1e-6)
    assert float(layer.dropped_share) == 0
    assert numbers([layer.token_share]) == [[1.0, 0.0]]


def test_balanced_router_costs_the_balance_weight_and_favourites_more():
    layer = two_experts(balance_weight=0.5, z_weight=0)
    assert training_loss(layer, [A, B]) == 0.5
    # All tokens go to an expert with a mean probability of 3/4: 2 * 1 * 3/4 times the weight.
    assert training_loss(layer, [A, A]) == pytest.approx(0.75)


def test_balanced_router_with_two_experts_a_token_costs_the_balance_weight():
    layer = two_experts(top_k=2, balance_weight=0.5, z_weight=0)
    assert training_loss(layer, [A, B]) == 0.5


def test_balance_loss_pushes_the_favourite_down():
    # The loss is 2 * p for the only expert that is chosen, and p has the slope p * (1 - p).
    chosen = np.array([[[1, 0]]], "float32")
    start = np.zeros((1, 2), "float32")
    slope = gradient(lambda z: routing.balance_loss(z, chosen, ops.ones(1)), start)
    np.testing.assert_allclose(slope, [[0.5, -0.5]])


def test_z_loss_is_the_squared_log_of_the_summed_exponentials():
    layer = two_experts(balance_weight=0, z_weight=2)
    assert training_loss(layer, [A, B]) == pytest.approx(2 * np.log(4) ** 2)


def test_padding_counts_in_no_loss_and_no_statistic():
    layer = two_experts(balance_weight=0.5, z_weight=0)
    run(layer, [[A, B, B, B]], training=True, mask=np.array([[True, True, False, False]]))
    assert numbers(layer.losses) == [0.5]
    assert numbers([layer.token_share]) == [[0.5, 0.5]]


def test_padding_has_no_z_loss():
    layer = two_experts(balance_weight=0, z_weight=2)
    run(layer, [[A, [9.0, 9.0]]], training=True, mask=np.array([[True, False]]))
    assert numbers(layer.losses) == [pytest.approx(2 * np.log(4) ** 2)]


def test_padding_takes_no_room_in_the_experts():
    # Two tokens count, so each expert has room for one: the last `A` would come fourth.
    layer = two_experts(capacity_factor=1.0)
    tokens, mask = [[A, A, B, A]], np.array([[False, False, True, True]])
    outputs = run(layer, tokens, training=True, mask=mask)
    np.testing.assert_allclose(outputs[0, 2:], [[0, 75], [7.5, 0]], rtol=1e-6)
    assert float(layer.dropped_share) == 0.0
    _, weights = layer.route(np.array(tokens, "float32"), mask=mask)
    np.testing.assert_allclose(ops.convert_to_numpy(weights)[0, 2:], [[0.75]] * 2, rtol=1e-6)


def test_batch_of_padding_alone_leaves_the_statistics():
    model = keras.Sequential([layers.Embedding(4, 2, mask_zero=True), two_experts()])
    model(np.array([[1, 2, 3]]), training=True)
    before = numbers([model.layers[1].token_share, model.layers[1].dropped_share])
    model(np.zeros((2, 3), "int32"), training=True)
    assert numbers([model.layers[1].token_share, model.layers[1].dropped_share]) == before
    assert np.isfinite(numbers(model.layers[1].losses)).all()


def test_inference_has_no_losses_and_keeps_the_statistics_of_training():
    layer = two_experts(capacity_factor=0.5)
    run(layer, [A, A])
    assert layer.losses == []
    assert numbers([layer.token_share, layer.dropped_share]) == [[0.5, 0.5], 0.0]


def test_router_stays_float32_in_half_precision():
    keras.config.set_dtype_policy("float16")
    layer = two_experts()
    assert layer.hidden_kernel.dtype == "float16"
    assert {layer.router.kernel.dtype, layer.token_share.dtype} == {"float32"}
    # In float16 both logits would be 2: 2 ** -12 is lost beside 2.
    layer.router.kernel.assign([[2, 2 + 2**-12], [0, 0]])
    experts, weights = layer.route(np.array([A], "float32"))
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    assert numbers([experts]) == [[[1]]]
    assert run(layer, [A])[0, 0] == pytest.approx(50, abs=0.1)


def test_experts_start_different_and_as_wide_as_a_dense_layer():
    layer = SwitchMoE(4, 100)
    layer.build((None, 100))
    kernel = ops.convert_to_numpy(layer.hidden_kernel)
    assert not np.array_equal(kernel[0], kernel[1])
    # Glorot: uniform up to the root of 6 / (100 + 100).
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(0.03), rel=0.01)


def test_saved_layer_is_equal_bit_for_bit(tmp_path):
    arguments = {"top_k": 2, "capacity_factor": 1.0, "activation": "gelu"}
    model = keras.Sequential([keras.Input((5, 6)), SwitchMoE(3, 8, **arguments), layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 5, 2)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert 0 < float(loaded.layers[0].dropped_share) < 1


def test_macs_are_those_of_the_experts_that_a_token_is_sent_to():
    model = keras.Sequential(
        [keras.Input((5, 6)), SwitchMoE(4, 8, 3, top_k=2, name="experts"), layers.Dense(2)]
    )
    for x in (None, np.ones((2, 5, 6), "float32")):
        report = kdg.count_macs(model, x)
        experts = report.layers[0]
        assert experts.dense == 5 * 4 * (6 * 8 + 8 * 3)
        assert experts.executed == experts.expected == experts.dense / 2
        assert report.gates == experts.gates == 5 * 6 * 4
        assert report.relative == (720 + 120 + 30) / (1440 + 30)
    row = next(line for line in str(report).splitlines() if "experts" in line)
    assert [cell.strip() for cell in row.split("│")[1:6]] == [
        "experts",
        "1,440",
        "720",
        "720",
        "120",
    ]


def test_closed_inputs_save_in_the_first_product_and_in_the_router():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(), SwitchMoE(2, 3)])
    model.layers[0].gate.network.scaled_bias.assign([1, -1, -1, -1])
    for x in (None, np.ones((2, 4), "float32")):
        report = kdg.count_macs(model, x)
        assert report.executed == (2 * 4 * 3 / 4 + 2 * 3 * 4) / 2
        assert report.gates == 2


def test_experts_take_part_in_the_relative_macs_of_a_budget():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate("linear"), SwitchMoE(2, 3)])
    cost = kdg.macs.model_cost.model_cost(model)
    # With half of the inputs open: the gate network, the router and one of two experts.
    macs = 4 * 4 + 4 * 2 / 2 + 4 * 3 / 2 + 3 * 4
    averages = {model.layers[0].gate: np.array([1.0, 0.0, 0.0, 1.0], "float32")}
    assert float(cost.relative_on_average(averages)) == pytest.approx(macs / 48)


def test_compact_keeps_the_experts_and_says_why():
    experts = SwitchMoE(2, 3, name="experts")
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGate(), experts])
    model.layers[0].gate.network.scaled_bias.assign([1, 1, -1, -1])
    small, report = kdg.compact_with_report(model)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    reasons = {kept.reason for kept in report.kept}
    assert reasons == {"no rule says what a SwitchMoE does to closed units"}
    assert report.still_gated == ["experts"]


def test_engine_refuses_experts_by_name():
    model = keras.Sequential([keras.Input((16,)), kdg.DynamicGate("linear"), SwitchMoE(2, 3)])
    with pytest.raises(ValueError, match=r"cannot run layer 'switch_mo_e\w*' \(SwitchMoE\)"):
        kdg.InferenceEngine(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_experts": 0}, r"`num_experts` must be a positive integer.*num_experts=0"),
        ({"hidden_units": 0}, r"`hidden_units` must be a positive integer.*hidden_units=0"),
        ({"units": 0}, r"`units` must be a positive integer.*units=0"),
        ({"top_k": 3}, r"`top_k` must be at most the number of experts, 2.*top_k=3"),
        ({"top_k": 0}, r"`top_k` must be a positive integer.*top_k=0"),
        ({"capacity_factor": 0}, r"`capacity_factor` must be a number above 0 or `None`"),
        ({"balance_weight": -1}, r"`balance_weight` must be a number of at least 0"),
        ({"z_weight": -1}, r"`z_weight` must be a number of at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SwitchMoE(**{"num_experts": 2, "hidden_units": 2, **arguments})


def test_dropping_with_another_output_size_says_what_to_do():
    with pytest.raises(ValueError, match=r"`units` must be .* features, 2.*`capacity_factor=None`"):
        SwitchMoE(2, 2, 3, capacity_factor=1.0).build((None, 2))


def test_routing_of_a_layer_that_is_not_built_says_what_to_do():
    with pytest.raises(ValueError, match=r"must be built before it can route"):
        SwitchMoE(2, 2).route(np.ones((1, 2), "float32"))


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX without float64
@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_layer_trains_whatever_the_precision_of_keras(floatx):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    try:
        model = keras.Sequential([keras.Input((4,)), SwitchMoE(2, 3), layers.Dense(1)])
        model.compile("sgd", "mse")
        history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
        assert np.isfinite(float(history.history["loss"][0]))
    finally:
        keras.config.set_floatx("float32")


def test_an_expert_that_no_token_chose_is_not_computed():
    layer = kdg.baselines.SwitchMoE(num_experts=4, hidden_units=3, top_k=2)
    layer.build((None, 2))
    layer.router.kernel.assign([[3.0, 2.0, 1.0, 0.0], [0.0] * 4])
    for kernel in (layer.hidden_kernel, layer.output_kernel):
        kernel.assign(ops.ones(kernel.shape))
    # The hidden units of both experts are 1 + 1, and the outputs 3 * 2. The weights add up to 1.
    np.testing.assert_allclose(ops.convert_to_numpy(layer(np.ones((1, 2)))), [[6.0, 6.0]], 1e-5)
    values = np.ones((4, 2, 3))
    values[2:] = np.nan
    layer.hidden_kernel.assign(values)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(np.ones((1, 2)))), [[6.0, 6.0]], 1e-5)
    # In training every expert runs, and 0 times NaN is NaN.
    assert np.isnan(ops.convert_to_numpy(layer(np.ones((1, 2)), training=True))).all()
