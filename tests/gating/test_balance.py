import math
import statistics

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_gates

pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer")
REACH = 4.0 * statistics.NormalDist().inv_cdf(0.9)


def gate_on_features(features=2, **arguments):
    """A gate whose logits are its inputs."""
    arguments = {"balance": 0.1, "estimator": "threshold", **arguments}
    gate = Gate("linear", features, **arguments)
    gate.build((None, features))
    gate.network.set_weights([np.eye(features), np.zeros(features)])
    return gate


def test_logits_are_standardised_over_the_batch_and_what_is_the_same_for_all_is_bounded():
    balance = gate_on_features().logit_balance
    logits = np.array([[0.0, 9.0], [2.0, 9.0], [0.0, 9.0], [2.0, 9.0]], "float32")
    balanced = balance(logits, np.array([0.5, -30.0], "float32"), training=True)
    # Means 1 and 9, variances 1 and 0; the slope is 4.
    apart, offset = 4.0 / math.sqrt(1.001), REACH * math.tanh(0.5 / REACH)
    expected = [[offset - apart, -REACH], [offset + apart, -REACH]]
    np.testing.assert_allclose(ops.convert_to_numpy(balanced)[:2], expected, rtol=1e-4)


def test_running_means_and_deviations_stand_in_for_the_batch_in_inference():
    balance = gate_on_features().logit_balance
    nothing = np.zeros(2, "float32")
    balance(np.array([[0.0, 3.0], [2.0, 3.0]], "float32"), nothing, training=True)
    # From 0 and 1, a fiftieth of the way to 1 and 3, and to 1 and the least deviation.
    deviation = [0.98 + 0.02 * math.sqrt(1.001), 0.98 + 0.02 * math.sqrt(0.001)]
    for weight, expected in (
        (balance.logit_mean, [0.02, 0.06]),
        (balance.logit_deviation, deviation),
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(weight), expected, rtol=1e-5)
    balanced = ops.convert_to_numpy(balance(np.array([[1.0, 0.0]], "float32"), nothing))
    expected = [[4.0 * 0.98 / deviation[0], -4.0 * 0.06 / deviation[1]]]
    np.testing.assert_allclose(balanced, expected, rtol=1e-5)


def test_bias_of_the_gate_network_moves_the_bounded_part_alone():
    gate = gate_on_features(temperature=2.0)
    logits = np.array([[0.0, 9.0], [2.0, 9.0]], "float32")
    gate.network.scaled_bias.assign([0.1, -3.0])  # biases 1 and -30, halved by the temperature
    with record_gates() as record:
        gate(logits, training=False)
    probabilities = record.probabilities()[gate]
    # Means 0, deviations 1: 4 * (0, 1) and 4 * 4.5, plus .5 and -15 after the bound.
    offset, least = REACH * math.tanh(0.5 / REACH), REACH * math.tanh(-15.0 / REACH)
    balanced = np.array([[offset, 18.0 + least], [4.0 + offset, 18.0 + least]])
    np.testing.assert_allclose(probabilities, 1.0 / (1.0 + np.exp(-balanced)), rtol=1e-4)


def test_no_price_closes_gates_for_all_inputs_and_none_opens_them_for_all():
    logits = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32")
    for price, share in ((30.0, 0.1), (-30.0, 0.9)):
        gate = gate_on_features()
        gate.price.assign(price)
        open_ratio = ops.convert_to_numpy(gate(logits, training=True)).mean(axis=0)
        np.testing.assert_allclose(open_ratio, share, atol=0.03)


def test_padding_has_no_part_in_means_and_deviations():
    gate = gate_on_features(1)
    logits = np.array([[[0.0], [2.0], [90.0]]], "float32")
    gate(logits, training=True, mask=np.array([[True, True, False]]))
    without = gate_on_features(1)
    without(logits[:, :2], training=True)
    for name in ("logit_mean", "logit_deviation"):
        mine, other = getattr(gate.logit_balance, name), getattr(without.logit_balance, name)
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (mine, other)), rtol=1e-6)


def test_a_batch_of_padding_alone_leaves_means_and_deviations():
    gate = gate_on_features(1)
    gate.logit_balance.logit_mean.assign([3.0])
    gate(np.ones((1, 2, 1), "float32"), training=True, mask=np.array([[False, False]]))
    for weight, value in (("logit_mean", 3.0), ("logit_deviation", 1.0)):
        assert float(getattr(gate.logit_balance, weight)[0]) == value


def test_frozen_gates_decide_in_training_as_in_inference_and_keep_their_means():
    gate = gate_on_features()
    gate.trainable = False
    logits = np.array([[9.0, 1.0], [7.0, 1.0]], "float32")
    before = ops.convert_to_numpy(gate.logit_balance.logit_mean)
    training = ops.convert_to_numpy(gate(logits, training=True))
    np.testing.assert_array_equal(training, ops.convert_to_numpy(gate(logits)))
    np.testing.assert_array_equal(ops.convert_to_numpy(gate.logit_balance.logit_mean), before)


def model_with_balanced_gates(**arguments):
    arguments = {"gate": "linear", "block_size": 8, "balance": 0.1, **arguments}
    layer = kdg.DynamicGateDense(32, "relu", name="hidden", **arguments)
    return keras.Sequential([keras.Input((8,)), layer, keras.layers.Dense(2)])


def test_balanced_gates_vary_within_a_budget_and_go_on_in_files_and_elsewhere(tmp_path):
    x = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
    model = model_with_balanced_gates(seed=0)
    falling = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=200)
    model.compile(keras.optimizers.Adam(falling), "mse")
    model.fit(x, x[:, :2], 64, 25, verbose=0, callbacks=[kdg.MacBudget(0.6)])
    report = kdg.count_macs(model, x)
    assert report.layers[0].varying == 1.0
    assert report.relative == pytest.approx(0.6, abs=0.02)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("hidden").get_config()["balance"] == 0.1
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))

    engine = kdg.InferenceEngine(model)
    np.testing.assert_allclose(engine.predict(x), model.predict(x, verbose=0), atol=1e-5)


def test_compaction_keeps_the_balance_of_the_gates_that_are_left():
    model = model_with_balanced_gates()
    gate, x = model.layers[0].gate, np.random.default_rng(0).normal(size=(64, 8))
    x = x.astype("float32")
    gate.logit_balance.logit_mean.assign([0.5, 9.0, -0.5, 0.0])
    gate.logit_balance.logit_deviation.assign([1.0, 0.1, 2.0, 3.0])  # the second never opens
    small = compact(model, x_calibration=x)
    assert small.get_layer("hidden").gate.gates == 3
    np.testing.assert_allclose(
        small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_the_k_gates_that_ask_most_beyond_their_mean_are_open():
    gate = gate_on_features(3, top_k=1)
    gate.logit_balance.logit_mean.assign([5.0, 0.0, 0.0])
    with record_gates() as record:
        gate(np.array([[5.0, 1.0, 0.0], [8.0, 1.0, 2.0]], "float32"))
    # 0, 1 and 0 above the means; then 3, 1 and 2.
    assert record.masks()[gate].tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("balance", [0.0, 0.5, -0.1, "often"])
def test_balance_out_of_range_is_refused(balance):
    with pytest.raises(ValueError, match="`balance` must be a number between 0 and 0.5"):
        kdg.DynamicGateDense(8, balance=balance)


def test_static_gates_cannot_be_balanced():
    with pytest.raises(ValueError, match="`balance` is for gates that depend on the input"):
        kdg.DynamicGateDense(8, gate="static", balance=0.1)


def test_a_trained_model_gets_no_balanced_gates_as_these_would_close_some_at_once():
    hidden = keras.layers.Dense(8, name="hidden")
    model = keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="Train a network with balanced gates from scratch"):
        kdg.gate_model(model, layers={"hidden": {"balance": 0.1, "block_size": 1}})
