import inspect

import keras
import numpy as np
import pytest
from harness import check_layer, gradient
from keras import ops

import keras_dynamicgate as kdg

X = np.random.default_rng(1).normal(size=(4, 6, 5, 3)).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("gate", ["static", "linear", "low_rank", "mlp"])
def test_layer_does_what_a_keras_layer_does(gate):
    weights = 2 + {"static": 1, "linear": 2, "low_rank": 3, "mlp": 4}[gate]
    arguments = {"filters": 16, "kernel_size": 3, "activation": "tanh", "gate": gate}
    check_layer(kdg.DynamicGateConv2D, arguments, (4, 6, 5, 8), (4, 4, 3, 16), weights, 14)


@pytest.mark.parametrize(
    "arguments",
    [
        {"strides": 2, "padding": "same", "kernel_size": (3, 2)},
        {"dilation_rate": 2, "groups": 2, "kernel_size": 2},
        {"lora_rank": 2, "kernel_size": 1, "use_bias": False},
    ],
)
def test_every_way_to_convolve_survives_a_round_trip(arguments):
    layer = kdg.DynamicGateConv2D(16, gate="static", block_size=4, **arguments)
    outputs = layer(np.ones((2, 6, 5, 8), "float32"))
    assert tuple(outputs.shape) == layer.compute_output_shape((2, 6, 5, 8))
    clone = kdg.DynamicGateConv2D.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()
    clone.build((2, 6, 5, 8))
    clone.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(clone(X[..., [0] * 8])), numpy(layer(X[..., [0] * 8])))


def test_every_argument_of_conv2d_is_accepted_under_the_same_name_and_place():
    conv = list(inspect.signature(keras.layers.Conv2D.__init__).parameters)[:-1]
    ours = list(inspect.signature(kdg.DynamicGateConv2D.__init__).parameters)
    assert ours[: len(conv)] == conv


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"activation": "gelu", "use_bias": False, "padding": "same"},
        {"kernel_regularizer": "l2", "activity_regularizer": "l1", "kernel_constraint": "max_norm"},
    ],
)
def test_without_a_gate_it_equals_conv2d_bit_for_bit(arguments):
    ours = kdg.DynamicGateConv2D(5, 3, gate=None, **arguments)
    conv = keras.layers.Conv2D(5, 3, **arguments)
    ours.build(X.shape)
    conv.build(X.shape)
    ours.set_weights(conv.get_weights())
    np.testing.assert_array_equal(numpy(ours(X)), numpy(conv(X)))
    assert [numpy(loss) for loss in ours.losses] == [numpy(loss) for loss in conv.losses]
    np.testing.assert_array_equal(
        gradient(lambda x: ops.sum(ops.square(ours(x))), X),
        gradient(lambda x: ops.sum(ops.square(conv(x))), X),
    )
    config = ours.get_config()
    for name, value in conv.get_config().items():
        if name != "name":
            assert config[name] == value, name


def test_closed_channels_are_exactly_zero_at_all_positions():
    layer = kdg.DynamicGateConv2D(4, 2, activation="sigmoid", gate="static", block_size=2)
    layer.build((None, 3, 3, 1))
    layer.conv.kernel.assign(np.zeros((2, 2, 1, 4)))
    layer.gate.network.scaled_bias.assign([-1.0, 1.0])
    expected = np.broadcast_to([0, 0, 0.5, 0.5], (1, 2, 2, 4))
    np.testing.assert_array_equal(numpy(layer(X[:1, :3, :3, :1])), expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_gates_are_decided_from_the_mean_of_each_channel(data_format):
    # The logits are the means: sample 0 has 1 and -1, sample 1 has -1 and 3.
    x = np.array([[[[1.0, -1]], [[1, -1]]], [[[-4, 3]], [[2, 3]]]], "float32")
    layer = kdg.DynamicGateConv2D(
        2, 1, gate="linear", block_size=1, data_format=data_format, kernel_initializer="ones"
    )
    first = data_format == "channels_first"
    if first and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow convolves channels_first on GPUs alone")
    x = np.moveaxis(x, -1, 1) if first else x
    with pytest.warns(UserWarning, match="The gate network"):
        layer.build((None, 2, None, None) if first else (None, None, None, 2))
    layer.gate.network.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    layer.gate.network.scaled_bias.assign([0.0, 0.0])
    outputs = numpy(layer(x))
    outputs = np.moveaxis(outputs, 1, -1) if first else outputs
    np.testing.assert_array_equal(outputs, [[[[0, 0]], [[0, 0]]], [[[0, -1]], [[0, 5]]]])
    assert tuple(layer.compute_output_shape(x.shape)) == x.shape


def test_masks_are_hard_and_gate_inputs_finite_in_half_precision():
    # The sum over 64 x 64 positions of 100 is far above the largest float16.
    layer = kdg.DynamicGateConv2D(
        8,
        1,
        gate="low_rank",
        kernel_initializer="zeros",
        bias_initializer="ones",
        dtype="mixed_float16",
        initial_open=0.5,
    )
    x = np.random.default_rng(0).normal(100, 1, (8, 64, 64, 8)).astype("float32")
    values = numpy(ops.cast(layer(x, training=True), "float32"))
    assert set(values.ravel()) == {0.0, 1.0}
    assert {weight.dtype for weight in layer.gate.network.weights} == {"float32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block_size": 3}, r"`block_size` must divide the number of units, 4.*block_size=3"),
        ({"gate": "dynamic"}, r"`gate` must be one of"),
        ({"threshold": 2}, r"`threshold` must be a number between 0 and 1"),
    ],
)
def test_layer_refuses_arguments_out_of_range_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdg.DynamicGateConv2D(4, 3, **arguments)


@pytest.mark.filterwarnings("ignore:The training ended at", "ignore:The gates of layer")
def test_saved_model_is_equal_bit_for_bit_and_trains_to_a_budget(tmp_path):
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(128, 8, 8, 4)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            kdg.DynamicGateConv2D(16, 3, activation="relu", gate="linear"),
            keras.layers.MaxPooling2D(),
            kdg.DynamicGateConv2D(16, 3, activation="relu", gate="static"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    summary = kdg.GateSummary(x[:16], verbose=0)
    budget = kdg.MacBudget(0.6)
    model.fit(x, np.arange(128) % 2, 8, epochs=8, verbose=0, callbacks=[budget, summary])
    assert 0.3 < summary.report.relative < 0.8
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x[:8], verbose=0), model.predict(x[:8], verbose=0))


def test_engine_refuses_the_layer_by_name_and_says_what_to_do():
    model = keras.Sequential([keras.Input((4, 4, 8)), kdg.DynamicGateConv2D(8, 3, name="edges")])
    message = r"cannot run layer 'edges' \(DynamicGateConv2D\).*`model.predict`"
    with pytest.raises(ValueError, match=message):
        kdg.InferenceEngine(model)
