import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.record import record_gates

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

# Input 0 switches between the first two of four units, the third is always small, the fourth large.
KERNEL = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 9.0]])


def model():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    model.layers[0].kernel.assign(KERNEL)
    return model


def data(rows=64):
    rng = np.random.default_rng(0)
    switch = np.where(np.arange(rows) % 2, -4.0, 4.0)
    return np.stack([switch, 1 + rng.random(rows), 1 + rng.random(rows)], axis=1).astype("float32")


def logits(layer, x):
    gate = layer.gate
    values = ops.convert_to_numpy(gate.network(layer.gate_inputs(ops.convert_to_tensor(x))))
    return values.reshape(-1, gate.gates)


def open_ratio(model, x):
    with record_gates() as record:
        model(x, training=False)
    return min(mask.min() for mask in record.masks().values())


@pytest.mark.parametrize(
    "gate", ["linear", kdg.LowRankGate(rank=2), kdg.MLPGate(hidden_units=4), kdg.MLPGate(5)]
)
def test_gates_know_which_blocks_matter_for_an_input(gate):
    x = data()
    gated = kdg.gate_model(model(), gate=gate, calibration_data=x)
    scores = logits(gated.layers[0], x)
    # The block that the input switches on lies above the one that it switches off.
    assert np.all(scores[::2, 0] > scores[::2, 1])
    assert np.all(scores[1::2, 1] > scores[1::2, 0])
    # Whatever the input, the largest block comes first.
    assert np.all(scores.argmax(axis=1) == 3)
    assert open_ratio(gated, x) == 1.0
    assert scores.min() > 0.2 * np.log(99)


def test_logits_are_the_sizes_of_the_blocks_on_a_scale_that_keeps_them_open():
    x = data()
    sizes = np.maximum(x @ KERNEL, 0)
    standard = (sizes - sizes.mean()) / sizes.std()
    gated = kdg.gate_model(model(), gate="linear", calibration_data=x)
    expected = np.log(99) * (1 + 0.75 * standard)
    np.testing.assert_allclose(logits(gated.layers[0], x)[:, :2], expected[:, :2], atol=0.5)


def test_static_gates_are_ordered_by_the_mean_size_of_their_blocks():
    x = data()
    gated = kdg.gate_model(model(), gate="static", calibration_data=x, input_gate=True)
    of_inputs, of_units = (logits(layer, x)[0] for layer in gated.layers[:2])
    # Means of |x|: 4 against 1.5 and 1.5; of the units: 2, 2, .15 and 13.5.
    assert of_inputs.argmax() == 0
    assert of_units.argsort().tolist() in ([2, 0, 1, 3], [2, 1, 0, 3])
    assert open_ratio(gated, x) == 1.0


def test_a_constant_layer_leaves_all_gates_as_they_are():
    gated = kdg.gate_model(model(), calibration_data=np.ones((1, 3), "float32"), block_size=4)
    np.testing.assert_allclose(logits(gated.layers[0], data(3)), np.log(99), rtol=1e-4)


def test_gates_of_a_convolution_are_fitted_to_its_channels():
    network = keras.Sequential(
        [keras.Input((2, 2, 3)), layers.Conv2D(4, 1, activation="relu"), layers.Conv2D(2, 2)]
    )
    network.layers[0].kernel.assign(KERNEL[None, None])
    x = np.broadcast_to(data()[:, None, None], (64, 2, 2, 3))
    gated = kdg.gate_model(network, gate="linear", calibration_data=x)
    scores = logits(gated.layers[0], x)
    assert np.all(scores[::2, 0] > scores[::2, 1])
    assert np.all(scores.argmax(axis=1) == 3)


def test_each_position_of_a_sequence_is_a_row():
    network = keras.Sequential(
        [keras.Input((32, 3)), layers.Dense(4, "relu"), layers.Flatten(), layers.Dense(2)]
    )
    network.layers[0].kernel.assign(KERNEL)
    gated = kdg.gate_model(network, gate="linear", calibration_data=data().reshape(2, 32, 3))
    scores = logits(gated.layers[0], data())
    assert np.all(scores[::2, 0] > scores[::2, 1])


def test_more_features_than_samples_are_no_problem():
    rng = np.random.default_rng(0)
    network = keras.Sequential([keras.Input((50,)), layers.Dense(8), layers.Dense(2)])
    x = rng.normal(size=(10, 50)).astype("float32")
    assert open_ratio(kdg.gate_model(network, calibration_data=x), x) == 1.0


def test_several_inputs_are_given_as_a_list_or_by_name():
    one, other = keras.Input((3,), name="one"), keras.Input((3,), name="other")
    x = layers.Concatenate()([layers.Dense(4)(one), layers.Dense(4)(other)])
    network = keras.Model([one, other], layers.Dense(2)(x))
    for inputs in ([data(), data()], {"one": data(), "other": data()}):
        gated = kdg.gate_model(network, calibration_data=inputs)
        assert open_ratio(gated, [data(), data()]) == 1.0


def test_layers_run_as_before_once_the_calibration_is_done():
    gated = kdg.gate_model(model(), calibration_data=data())
    assert "call" not in vars(gated.layers[0])


def test_activations_that_are_not_finite_are_refused_with_the_name_of_the_layer():
    network = model()
    network.layers[0].bias.assign([np.inf, 0, 0, 0])
    message = f"Layer '{network.layers[0].name}' has inputs or outputs that are not finite"
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(network, calibration_data=data())


def two_inputs():
    one, other = keras.Input((3,), name="one"), keras.Input((3,), name="other")
    outputs = layers.Dense(2)(layers.Dense(4)(one) - layers.Dense(4)(other))
    return keras.Model({"one": one, "other": other}, outputs)


def test_data_for_a_model_with_a_dict_of_inputs_are_a_dict():
    network = two_inputs()
    inputs = {"other": data(), "one": data()}
    assert open_ratio(kdg.gate_model(network, calibration_data=inputs), inputs) == 1.0
    with pytest.raises(ValueError, match=r"must be a dict.*\['one', 'other'\]. Received: list"):
        kdg.gate_model(network, calibration_data=[data(), data()])


def test_each_input_has_as_many_samples():
    inputs = {"one": data(64), "other": data(32)}
    with pytest.raises(ValueError, match="as many samples.*Received: arrays of 32, 64 samples"):
        kdg.gate_model(two_inputs(), calibration_data=inputs)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([["1", "2", "3"]]), "must hold numbers .*Received: dtype=<U1"),
        (np.array([[1.0, np.nan, 3.0]], object), "must hold numbers .*Received: dtype=object"),
        (np.array([[1.0, np.nan, 3.0]], ml_dtypes.bfloat16), "must be finite. Received: 1 NaN"),
    ],
)
def test_data_that_are_no_finite_numbers_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(model(), calibration_data=values)


def test_calibrated_gates_close_what_matters_least():
    pytest.importorskip("sklearn")
    digits = kdg.datasets.digits()
    x, y = digits.train[:]
    network = keras.Sequential(
        [keras.Input((8, 8)), layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    network.fit(x, y, 64, epochs=12, verbose=0)

    def accuracy(calibration_data):
        gated = kdg.gate_model(
            network, gate="linear", block_size=1, calibration_data=calibration_data
        )
        inner = gated.layers[1]
        # The price closes the half of the gates with the lower logits.
        inner.gate.price.assign(np.median(logits(inner, x.reshape(len(x), 64))))
        x_test, y_test = digits.test[:]
        return np.mean(gated.predict(x_test, verbose=0).argmax(axis=1) == y_test)

    calibrated, random = accuracy(x), accuracy(None)
    assert calibrated > random + 0.1, (calibrated, random)
