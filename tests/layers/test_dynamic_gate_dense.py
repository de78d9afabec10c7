import inspect

import keras
import numpy as np
import pytest
from harness import check_layer, gradient
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import MagnitudePrunedDense, RigLDense

X = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.filterwarnings("ignore:The gate network")
@pytest.mark.parametrize("gate", ["static", "linear", "low_rank", "mlp"])
def test_layer_does_what_a_keras_layer_does(gate):
    weights = 2 + {"static": 1, "linear": 2, "low_rank": 3, "mlp": 4}[gate]
    arguments = {"units": 64, "activation": "tanh", "gate": gate}
    check_layer(kdg.DynamicGateDense, arguments, (4, 96), (4, 64), weights, 14)


def test_layer_gates_each_token_by_itself():
    arguments = {"units": 64, "gate": kdg.LowRankGate(rank=1)}
    check_layer(kdg.DynamicGateDense, arguments, (2, 5, 96), (2, 5, 64), 5, 14)


def test_deterministic_estimator_needs_no_seed_weight():
    arguments = {"units": 64, "estimator": "threshold"}
    check_layer(kdg.DynamicGateDense, arguments, (4, 96), (4, 64), 5, 14)


def test_every_argument_of_dense_is_accepted_under_the_same_name_and_place():
    dense = list(inspect.signature(keras.layers.Dense.__init__).parameters)[:-1]
    ours = list(inspect.signature(kdg.DynamicGateDense.__init__).parameters)
    assert ours[: len(dense)] == dense


def dense_pair(**arguments):
    ours = kdg.DynamicGateDense(5, gate=None, **arguments)
    dense = keras.layers.Dense(5, **arguments)
    ours.build(X.shape)
    dense.build(X.shape)
    ours.set_weights(dense.get_weights())
    return ours, dense


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"activation": "gelu", "use_bias": False},
        {"kernel_regularizer": "l2", "activity_regularizer": "l1", "kernel_constraint": "max_norm"},
        {"lora_rank": 2, "bias_initializer": "ones"},
    ],
)
def test_without_a_gate_it_equals_dense_bit_for_bit(arguments):
    ours, dense = dense_pair(**arguments)
    np.testing.assert_array_equal(numpy(ours(X)), numpy(dense(X)))
    assert [numpy(loss) for loss in ours.losses] == [numpy(loss) for loss in dense.losses]
    np.testing.assert_array_equal(
        gradient(lambda x: ops.sum(ops.square(ours(x))), X),
        gradient(lambda x: ops.sum(ops.square(dense(x))), X),
    )
    config = ours.get_config()
    for name, value in dense.get_config().items():
        if name != "name":
            assert config[name] == value, name


def test_without_a_gate_it_trains_as_dense_bit_for_bit():
    weights = []
    for layer in dense_pair(activation="relu"):
        model = keras.Sequential([keras.Input((6,)), layer])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.fit(X, np.ones((4, 5), "float32"), epochs=3, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for ours, dense in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, dense)


def test_open_units_equal_dense_and_closed_units_are_exactly_zero():
    layer = kdg.DynamicGateDense(4, activation="sigmoid", gate="static", block_size=2)
    layer.build((None, 2))
    layer.dense.kernel.assign(np.zeros((2, 4)))
    layer.gate.network.scaled_bias.assign([-1.0, 1.0])
    np.testing.assert_array_equal(numpy(layer(X[:1, :2])), [[0, 0, 0.5, 0.5]])


@pytest.mark.filterwarnings("ignore:The gate network")
def test_gradient_reaches_the_gates_through_the_hard_mask():
    # y = 3 g with g = sigmoid(z) backward, z = x = log 3: dy/dx = 3 p (1 - p) = 3 * 3/16.
    layer = kdg.DynamicGateDense(1, gate="linear", block_size=1, estimator="threshold")
    layer.build((None, 1))
    layer.dense.kernel.assign([[0.0]])
    layer.dense.bias.assign([3.0])
    layer.gate.network.kernel.assign([[1.0]])
    layer.gate.network.scaled_bias.assign([0.0])
    x = np.array([[np.log(3.0)]], "float32")
    slope = gradient(lambda x: ops.sum(layer(x, training=True)), x)
    np.testing.assert_allclose(slope, [[9 / 16]], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_masks_are_hard_in_low_precision(policy):
    layer = kdg.DynamicGateDense(
        64,
        kernel_initializer="zeros",
        bias_initializer="ones",
        dtype=policy,
        initial_open=0.5,
    )
    values = numpy(ops.cast(layer(np.ones((8, 64), "float32"), training=True), "float32"))
    assert set(values.ravel()) == {0.0, 1.0}
    assert {weight.dtype for weight in layer.gate.network.weights} == {"float32"}


@pytest.mark.parametrize(
    ("units", "block_size"), [(10, 1), (64, 2), (100, 2), (256, 8), (1024, 32), (8192, 128)]
)
def test_automatic_block_size_makes_about_32_gates(units, block_size):
    assert kdg.DynamicGateDense(units).block_size == block_size


def test_expensive_gate_network_warns_with_its_share():
    with pytest.warns(UserWarning, match=r"'costly' costs 50% of the multiply-accumulates"):
        kdg.DynamicGateDense(4, gate="linear", block_size=2, name="costly").build((None, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block_size": 3}, r"`block_size` must divide the number of units, 4.*block_size=3"),
        ({"block_size": 0}, r"`block_size` must be a positive integer. Received: block_size=0"),
        ({"block_size": -1}, r"`block_size` must be a positive integer"),
        ({"block_size": "all"}, r"`block_size` must be a positive integer or.* \"auto\""),
        ({"block_size": 2, "top_k": 3}, r"`top_k` must be at most the number of gates, 2"),
        ({"gate": None, "threshold": 5}, r"`threshold` must be a number between 0 and 1"),
        ({"gate": "dynamic"}, r"`gate` must be one of"),
        ({"gate": keras.layers.ReLU()}, r"`gate` must be one of"),
        ({"threshold": 2}, r"`threshold` must be a number between 0 and 1"),
    ],
)
def test_layer_refuses_arguments_out_of_range_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdg.DynamicGateDense(4, **arguments)


def test_layer_refuses_units_as_dense_does():
    with pytest.raises(ValueError, match="positive integer"):
        kdg.DynamicGateDense(-1)


def test_one_network_object_serves_two_layers_with_weights_of_their_own():
    network = kdg.LowRankGate(rank=1)
    one, other = (kdg.DynamicGateDense(64, gate=network) for _ in range(2))
    one.build((None, 64))
    other.build((None, 64))
    assert one.gate.network.up_kernel is not other.gate.network.up_kernel


@pytest.mark.parametrize("dense_class", [keras.layers.Dense, MagnitudePrunedDense, RigLDense])
def test_given_layer_is_gated_in_place_of_a_new_dense(dense_class):
    dense = dense_class(4, activation="relu", name="mine")
    layer = kdg.DynamicGateDense(4, dense=dense, gate="static", block_size=2)
    outputs = numpy(layer(X))
    np.testing.assert_array_equal(outputs, numpy(dense(X)))
    layer.gate.network.scaled_bias.assign([-1.0, 1.0])
    np.testing.assert_array_equal(numpy(layer(X)), outputs * [0, 0, 1, 1])
    assert layer.activation is keras.activations.relu
    np.testing.assert_array_equal(numpy(layer.kernel), numpy(dense.kernel))
    clone = kdg.DynamicGateDense.from_config(layer.get_config())
    assert type(clone.dense) is dense_class
    assert clone.get_config() == layer.get_config()


def test_given_layer_without_a_gate_does_what_it_does_by_itself():
    dense = RigLDense(4)
    np.testing.assert_array_equal(
        numpy(kdg.DynamicGateDense(4, dense=dense, gate=None)(X)), numpy(dense(X))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dense": "relu"}, r"`dense` must be a layer like `keras.layers.Dense`.*dense='relu'"),
        ({"dense": keras.layers.Flatten()}, r"`dense` must be a layer like `keras.layers.Dense`"),
        ({"dense": keras.layers.Dense(5)}, r"as many units as `units` says.*units=4.*units=5"),
        (
            {"dense": keras.layers.Dense(4), "activation": "relu", "use_bias": False},
            r"Arguments `activation`, `use_bias` exclude `dense`: give them to the layer",
        ),
    ],
)
def test_given_layer_that_cannot_be_gated_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdg.DynamicGateDense(4, **arguments)


def test_scale_of_a_low_rank_adaptation_survives_a_round_trip():
    layer = kdg.DynamicGateDense(2, gate=None)
    layer.build((None, 3))
    layer.enable_lora(1, lora_alpha=4)
    clone = kdg.DynamicGateDense.from_config(layer.get_config())
    clone.build((None, 3))
    assert clone.dense.lora_alpha == 4
