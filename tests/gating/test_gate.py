import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating import masks
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_gates


def static_gate(logits, **arguments):
    gate = Gate("static", len(logits), **arguments)
    gate.build((None, 3))
    gate.network.scaled_bias.assign(np.array(logits) / 10)
    return gate


def run(gate, samples=1, training=False):
    return ops.convert_to_numpy(gate(np.zeros((samples, 3), "float32"), training=training))


def test_gate_opens_above_the_threshold():
    np.testing.assert_array_equal(run(static_gate([-1.0, 0.0, 1.0])), [[0, 0, 1]])
    np.testing.assert_array_equal(run(static_gate([-1.0, 0.0, 1.0], threshold=0.2)), [[1, 1, 1]])


def test_gate_starts_at_the_probability_that_was_asked_for_at_any_temperature():
    gate = Gate("linear", 2, initial_open=0.75, temperature=3.0)
    gate.build((None, 3))
    with record_gates() as record:
        run(gate)
    np.testing.assert_allclose(record.probabilities()[gate], [[0.75, 0.75]], rtol=1e-6)


def test_static_gates_start_apart_from_each_other_and_all_open():
    gate = Gate("static", 50, initial_open=0.75)
    gate.build((None, 3))
    # The logit of 0.75 is log(3); single gates start at 0.7 to 1.3 times as much.
    logits = ops.convert_to_numpy(gate.network.bias)
    assert np.all((logits > 0.7 * np.log(3) - 1e-6) & (logits < 1.3 * np.log(3) + 1e-6))
    assert np.std(logits) > 0.1
    np.testing.assert_array_equal(run(gate), np.ones((1, 50)))


def test_threshold_estimator_trains_with_the_masks_of_inference():
    gate = static_gate([-1.0, 0.0, 1.0], estimator="threshold")
    np.testing.assert_array_equal(run(gate, training=True), run(gate))


def test_soft_estimator_trains_with_probabilities_and_infers_with_masks():
    gate = static_gate([0.0, np.log(3.0)], estimator="soft")
    np.testing.assert_allclose(run(gate, training=True), [[0.5, 0.75]], rtol=1e-6)
    np.testing.assert_array_equal(run(gate), [[0, 1]])


@pytest.mark.parametrize("estimator", ["bernoulli", "logistic"])
def test_noisy_estimators_draw_hard_masks_for_each_sample(estimator):
    gate = static_gate([np.log(1 / 3), np.log(3.0)], estimator=estimator, seed=1)
    mask = run(gate, samples=4000, training=True)
    assert set(mask.ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(mask.mean(axis=0), [0.25, 0.75], atol=0.03)


def test_the_price_is_in_units_of_the_temperature():
    gate = static_gate([3.0, 1.5], temperature=2.0)
    gate.price.assign(1.0)
    # Logits of 3 - 2 = 1 and 1.5 - 2 = -.5, divided by 2.
    with record_gates() as record:
        np.testing.assert_array_equal(run(gate), [[1, 0]])
    expected = 1 / (1 + np.exp([[-0.5, 0.25]]))
    np.testing.assert_allclose(record.probabilities()[gate], expected, rtol=1e-6)


def test_logistic_noise_opens_with_the_gate_probability_at_any_temperature():
    gate = static_gate([2 * np.log(3.0), -2 * np.log(3.0)], temperature=2.0, seed=1)
    mask = run(gate, samples=4000, training=True)
    np.testing.assert_allclose(mask.mean(axis=0), [0.75, 0.25], atol=0.03)


def test_noise_is_all_there_without_a_budget_whatever_a_checkpoint_remembers():
    gate = static_gate([np.log(3.0), np.log(1 / 3)], seed=1)
    gate.noise_scale.assign(0.0)
    mask = run(gate, samples=4000, training=True)
    np.testing.assert_allclose(mask.mean(axis=0), [0.75, 0.25], atol=0.03)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX without float64
@pytest.mark.parametrize("floatx", ["float64", "bfloat16"])
def test_noise_is_drawn_in_float32_whatever_the_precision_of_keras(floatx):
    keras.config.set_floatx(floatx)
    try:
        for estimator in ("bernoulli", "logistic"):
            gate = static_gate([np.log(3.0), np.log(1 / 3)], estimator=estimator, seed=1)
            mask = run(gate, samples=4000, training=True)
            assert mask.dtype == "float32"
            np.testing.assert_allclose(mask.mean(axis=0), [0.75, 0.25], atol=0.03)
        uniform = masks.uniform_noise((4000, 1), keras.random.SeedGenerator(1))
        assert np.all(np.isfinite(ops.convert_to_numpy(masks.logistic_noise(uniform))))
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.parametrize("estimator", masks.ESTIMATORS)
def test_frozen_gate_trains_with_the_masks_of_inference_and_measures_and_charges_nothing(estimator):
    penalty = kdg.UsagePenalty(2.0)
    gate = static_gate([0.1, -0.1, 1.0], estimator=estimator, usage_regularizer=penalty)
    gate.trainable = False
    gate.penalty.assign(3.0)
    for _ in range(5):
        np.testing.assert_array_equal(run(gate, samples=1, training=True), [[1, 0, 1]])
    np.testing.assert_allclose(ops.convert_to_numpy(gate.usage), [0.9] * 3, rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(gate.open_ratio), [1.0] * 3)
    assert gate.losses == []
    assert float(gate.penalty) == 0.0


def test_static_gates_close_a_unit_at_all_positions_of_a_sample():
    gate = static_gate([0.0, 0.0, 0.0], seed=3)
    mask = ops.convert_to_numpy(gate(np.zeros((8, 5, 4, 3), "float32"), training=True))
    assert mask.shape == (8, 1, 1, 3)
    assert 0 < mask.mean() < 1


def test_regularizers_of_keras_do_not_depend_on_the_batch_size():
    gate = static_gate([0.0, np.log(3.0)], usage_regularizer="l1")
    run(gate, samples=7, training=True)
    assert float(gate.penalty) == pytest.approx(0.01 * 0.625)


def test_floor_of_a_share_is_not_raised_by_rounding():
    assert masks.fewest_open(0.07, 100) == 7
    assert masks.fewest_open(0.071, 100) == 8


@pytest.mark.parametrize("estimator", ["threshold", "bernoulli", "logistic"])
def test_min_open_holds_in_training_too(estimator):
    gate = static_gate([-20.0, -20.0, -20.0, -20.0], estimator=estimator, min_open=0.5)
    assert run(gate, samples=50, training=True).sum(axis=1).min() == 2


def test_top_k_ranks_after_noise_also_where_all_probabilities_round_to_one():
    gate = static_gate([40.0, 40.0, 60.0], top_k=2, seed=1)
    # In a batch, two gates keep the distance of their numbers; over batches they are alike.
    opened = np.concatenate([run(gate, samples=8, training=True) for _ in range(30)])
    np.testing.assert_allclose(opened.mean(axis=0), [0.5, 0.5, 1.0], atol=0.2)


@pytest.mark.parametrize("estimator", ["threshold", "logistic"])
def test_top_k_opens_exactly_k_in_training_and_inference(estimator):
    gate = static_gate([1.0, 3.0, 2.0], estimator=estimator, top_k=2)
    np.testing.assert_array_equal(run(gate), [[0, 1, 1]])
    np.testing.assert_array_equal(run(gate, samples=50, training=True).sum(axis=1), 2.0)


def test_gate_follows_usage_and_open_ratio_in_training_only():
    gate = static_gate([0.0, np.log(3.0)], estimator="threshold", initial_open=0.5)
    run(gate)
    np.testing.assert_allclose(ops.convert_to_numpy(gate.usage), [0.5, 0.5])
    run(gate, training=True)
    np.testing.assert_allclose(ops.convert_to_numpy(gate.usage), [0.5, 0.75], rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(gate.open_ratio), [0.0, 1.0])


def test_gate_follows_each_gate_over_all_samples_and_positions():
    gate = Gate("linear", 2)
    gate.build((None, 2, 2))
    gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    gate.network.scaled_bias.assign([0.0, 0.0])
    gate(np.array([[[1, -1], [1, 1]], [[-1, -1], [1, -1]]], "float32"), training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(gate.open_ratio), [0.75, 0.25])


def test_gate_charges_its_regularizer_in_training_only():
    gate = static_gate([0.0, np.log(3.0)], usage_regularizer=kdg.UsagePenalty(2.0))
    run(gate)
    assert gate.losses == []
    run(gate, training=True)
    assert [float(ops.convert_to_numpy(loss)) for loss in gate.losses] == pytest.approx([1.25])
    assert float(gate.penalty) == pytest.approx(1.25)


def test_penalty_that_a_checkpoint_remembers_is_not_that_of_the_next_training():
    gate = static_gate([0.0, 1.0])
    gate.penalty.assign(3.0)
    run(gate, training=True)
    assert float(gate.penalty) == 0.0


def test_penalty_scale_multiplies_the_regularizer():
    gate = static_gate([0.0, np.log(3.0)], usage_regularizer=kdg.UsagePenalty(2.0))
    gate.penalty_scale.assign(0.5)
    run(gate, training=True)
    assert float(gate.penalty) == pytest.approx(0.625)


@pytest.mark.parametrize("network", ["static", kdg.LowRankGate(rank=2)])
def test_gate_of_a_layer_is_made_anew_from_what_it_serializes_to(network):
    arguments = {
        "temperature": 2.0,
        "threshold": 0.25,
        "estimator": "bernoulli",
        "initial_open": 0.75,
        "min_open": 0.125,
        "usage_regularizer": kdg.TargetUsage(0.5, 2.0),
        "seed": 7,
    }
    gate = kdg.DynamicGateDense(64, gate=network, block_size=8, **arguments).gate
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(gate))
    configs = [each.get_config() for each in (gate, again)]
    for config in configs:
        assert config["network"]["config"].pop("name")  # each copy of a network has its own
    assert configs[0] == configs[1]
    for each in (gate, again):
        each.build((None, 3))
    again.set_weights(gate.get_weights())
    assert again.block_size == 8
    np.testing.assert_array_equal(run(again), run(gate))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, r"`temperature` must be a number above 0. Received: temperature=0"),
        ({"threshold": 1.0}, r"`threshold` must be a number between 0 and 1. Received"),
        ({"threshold": 0}, r"`threshold` must be a number between 0 and 1. Received"),
        ({"initial_open": 1.0}, r"`initial_open` must be a number between 0 and 1"),
        ({"min_open": 1.1}, r"`min_open` must be a number from 0 to 1"),
        ({"estimator": "hard"}, r"`estimator` must be one of 'threshold', .*Received"),
        ({"top_k": 0}, r"`top_k` must be a positive integer"),
        ({"top_k": 4}, r"`top_k` must be at most the number of gates, 3. Received: top_k=4"),
        ({"top_k": 1, "min_open": 0.5}, r"`top_k` and `min_open` exclude each other"),
        ({"top_k": 1, "estimator": "bernoulli"}, r"`top_k` needs an estimator that ranks"),
    ],
)
def test_gate_refuses_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Gate("static", 3, **arguments)
