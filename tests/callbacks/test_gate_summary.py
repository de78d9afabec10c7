import csv

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg

X = np.random.default_rng(0).normal(size=(64, 64)).astype("float32")
Y = np.zeros(64, "int32")


def gated_model(**arguments):
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGateDense(64, "relu", name="hidden", **arguments),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss)
    return model


def fit(model, *callbacks, epochs=2):
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(callbacks)).history


ALL_OPEN = "ignore:The gates of layer 'hidden' are open"


def start_alike(model, probability):
    network = model.layers[0].gate.network
    logit = np.log(probability / (1 - probability))
    network.scaled_bias.assign(np.full(network.gates, logit / 10))


@pytest.mark.filterwarnings(ALL_OPEN)
def test_logs_have_usage_open_ratio_macs_and_penalty_each_epoch():
    penalty = kdg.UsagePenalty(2.0)
    model = gated_model(gate="static", usage_regularizer=penalty)
    start_alike(model, probability=0.75)
    history = fit(model, kdg.GateSummary(X, verbose=0))
    assert history["gate_usage"] == pytest.approx([0.75, 0.75])
    assert history["open_ratio"] == [1.0, 1.0]
    assert history["relative_macs"] == [1.0, 1.0]
    assert history["gate_penalty"] == pytest.approx([1.5, 1.5])


def test_logs_equal_the_mac_count_on_the_same_inputs():
    model = gated_model(initial_open=0.5)
    history = fit(model, kdg.GateSummary(X, verbose=0))
    report = kdg.count_macs(model, X)
    assert history["relative_macs"][-1] == pytest.approx(report.relative)
    assert history["open_ratio"][-1] == pytest.approx(report.open_ratio)
    assert 0.1 < report.open_ratio < 0.9


def test_without_inputs_the_last_training_batch_is_logged():
    model = gated_model(gate="static", top_k=16)
    assert fit(model, kdg.GateSummary(verbose=0))["open_ratio"] == [0.5, 0.5]


def test_table_is_printed_at_the_end_if_asked_for(capsys):
    model = gated_model(top_k=16)
    fit(model, kdg.GateSummary(X))
    assert "hidden" in (shown := capsys.readouterr().out)
    assert "relative = (executed + gates) / dense" in shown
    fit(model, kdg.GateSummary(X, verbose=0))
    assert capsys.readouterr().out == ""


def test_files_hold_a_row_for_each_epoch_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    fit(gated_model(top_k=16), kdg.GateSummary(X, log_dir=tmp_path / "logs", verbose=0), epochs=3)
    with open(tmp_path / "logs" / "gates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["layer"], row["open_ratio"]) for row in rows] == [
        (str(epoch), "hidden", "0.5") for epoch in range(3)
    ]
    assert (tmp_path / "logs" / "gates.png").read_bytes()[:4] == b"\x89PNG"


def test_layer_that_has_closed_is_warned_about_by_name():
    model = gated_model(gate="static")
    model.layers[0].gate.network.scaled_bias.assign(np.full(32, -1.0))
    with pytest.warns(UserWarning, match=r"layer 'hidden' are closed.*`min_open`"):
        fit(model, kdg.GateSummary(X, verbose=0), epochs=1)


def test_layer_that_saves_nothing_is_warned_about_at_the_end():
    with pytest.warns(UserWarning, match=r"layer 'hidden' are open: .*`MacBudget`"):
        fit(gated_model(gate="static"), kdg.GateSummary(X, verbose=0))


def decide_by_the_input(model, gates):
    """Let the first gates be open where one of the features is positive and close the others."""
    network = model.layers[0].gate.network
    kernel, bias = np.zeros((64, 8)), np.full(8, -5.0)
    kernel[np.arange(gates), np.arange(gates)] = 9.0
    bias[:gates] = 0.0
    network.set_weights([kernel, bias])


def test_layer_whose_gates_are_static_in_effect_is_warned_about_at_the_end():
    model = gated_model(gate="linear", block_size=8)
    model.layers[0].gate.network.set_weights([np.zeros((64, 8)), np.array([5.0] * 4 + [-5.0] * 4)])
    with pytest.warns(UserWarning, match=r"layer 'hidden' are static in effect: 0%.*`compact`"):
        fit(model, kdg.GateSummary(X, verbose=0))


def test_layer_whose_gates_decide_by_the_input_is_not_warned_about():
    model = gated_model(gate="linear", block_size=8)
    decide_by_the_input(model, gates=1)  # of eight
    summary = kdg.GateSummary(X, verbose=0, y=X[:, 0] > 0)
    with pytest.raises(ValueError, match="integers, a class for each sample"):
        fit(model, summary)
    summary = kdg.GateSummary(X, verbose=0, y=(X[:, 0] > 0).astype(int))
    fit(model, summary)
    assert summary.report.layers[0].varying == 1 / 8
    assert 0.1 < summary.report.layers[0].bits < 1 / 8  # it tells the label, the others nothing


def test_model_without_gates_is_refused():
    with pytest.raises(ValueError, match=r"`GateSummary` needs a model with gated layers"):
        fit(gated_model(gate=None), kdg.GateSummary(X))


@pytest.mark.filterwarnings(ALL_OPEN)
def test_schedule_sets_the_weights_that_the_compiled_step_reads():
    model = gated_model(gate="static", usage_regularizer=kdg.UsagePenalty(1.0))
    start_alike(model, probability=0.9)
    schedule = kdg.GateSchedule(
        temperature=lambda epoch: 1.0 / (epoch + 1),
        threshold=0.3,
        penalty=lambda epoch: 2.0 * epoch,
    )
    history = fit(model, schedule, kdg.GateSummary(X, verbose=0), epochs=3)
    gate = model.layers[0].gate
    assert float(gate.temperature) == pytest.approx(1 / 3)
    assert float(gate.threshold) == pytest.approx(0.3)
    # Usage sigmoid(z / temperature) = 9^n / (1 + 9^n) times the penalty of the epoch.
    assert history["gate_penalty"] == pytest.approx([0.0, 2 * 81 / 82, 4 * 729 / 730])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, r"`temperature` must be a number above 0"),
        ({"threshold": 1.0}, r"`threshold` must be a number between 0 and 1"),
        ({"penalty": -1.0}, r"`penalty` must be a number of at least 0"),
        ({"penalty": lambda epoch: float("nan")}, r"`penalty` must be a number of at least 0"),
    ],
)
def test_schedule_refuses_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(gated_model(), kdg.GateSchedule(**arguments))


def open_model():
    """Two units for each position of a sequence of any length, then one for the whole."""
    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            kdg.DynamicGateDense(32, gate="static", top_k=8, block_size=1),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(8),
        ]
    )
    model.compile("sgd", "mse")
    return model


def test_sizes_that_a_model_leaves_open_are_those_of_the_inputs_it_is_given():
    x, y = np.zeros((16, 5, 8)), np.zeros((16, 8))
    history = open_model().fit(x, y, verbose=0, callbacks=[kdg.GateSummary(x, verbose=0)])
    # A quarter of five positions of 8 * 32 and of the rows of 32 * 8.
    assert history.history["relative_macs"] == [0.25]


def test_summary_without_inputs_says_what_it_needs_where_sizes_are_open():
    x, y = np.zeros((16, 5, 8)), np.zeros((16, 8))
    with pytest.raises(ValueError, match=r"leaves sizes .* open.*Give `GateSummary` inputs"):
        open_model().fit(x, y, verbose=0, callbacks=[kdg.GateSummary()])


def test_data_set_in_place_of_inputs_is_refused_before_training():
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(ValueError, match=r"`x` must be an array .*of a data set .*BatchDataset"):
        fit(gated_model(), kdg.GateSummary(batches))
