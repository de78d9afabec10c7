"""What a Keras layer has, the gated layer in its place has: attributes, settings, paths."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

X = np.random.default_rng(1).normal(size=(4, 4, 4, 8)).astype("float32")

# A gated layer, with gates and without, and the Keras layer that it stands for.
PAIRS = {
    "dense": (lambda **k: kdg.DynamicGateDense(4, gate="static", **k), layers.Dense),
    "dense without a gate": (lambda **k: kdg.DynamicGateDense(4, gate=None, **k), layers.Dense),
    "convolution": (
        lambda **k: kdg.DynamicGateConv2D(4, 3, gate="static", **k),
        lambda *a, **k: layers.Conv2D(*a, 3, **k),
    ),
    "convolution without a gate": (
        lambda **k: kdg.DynamicGateConv2D(4, 3, gate=None, **k),
        lambda *a, **k: layers.Conv2D(*a, 3, **k),
    ),
}
BOTH = pytest.mark.parametrize("kind", PAIRS)
DENSE = pytest.mark.parametrize("gate", ["static", None])


def pair(kind, **arguments):
    gated, ordinary = PAIRS[kind]
    return gated(**arguments), ordinary(4, **arguments)


def numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def clone(layer):
    return type(layer).from_config(layer.get_config())


@BOTH
def test_every_public_attribute_of_the_keras_layer_can_be_read(kind):
    ours, ordinary = pair(kind, kernel_regularizer="l2", lora_rank=2)
    for layer in (ours, ordinary):
        layer(keras.Input(X.shape[1:]))
    names = {name for name in (*dir(ordinary), *vars(ordinary)) if not name.startswith("_")}
    assert [name for name in sorted(names) if not hasattr(ours, name)] == []
    for name in names:
        value = getattr(ordinary, name)
        if isinstance(value, (int, str, tuple, type(None))) and name not in ("name", "path"):
            assert getattr(ours, name) == value, name


@BOTH
def test_settings_take_effect_before_the_build_as_they_do_in_the_keras_layer(kind):
    for layer in pair(kind):
        layer.kernel_initializer = keras.initializers.Constant(0.5)
        layer.bias_initializer = keras.initializers.Constant(-1.0)
        layer.kernel_regularizer = keras.regularizers.L1(0.25)
        layer.bias_regularizer = keras.regularizers.L1(2.0)
        layer.kernel_constraint = keras.constraints.NonNeg()
        layer.activation = keras.activations.relu
        outputs = numpy(layer(0 * X))
        np.testing.assert_array_equal(outputs, np.zeros_like(outputs))
        kernel = layer.kernel.shape
        assert [float(numpy(loss)) for loss in layer.losses] == [0.125 * np.prod(kernel), 8.0]
        np.testing.assert_array_equal(numpy(layer.bias), [-1.0] * 4)
        assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)
        layer.activation = None
        np.testing.assert_array_equal(numpy(layer(0 * X)), outputs - 1.0)


@BOTH
def test_settings_after_the_build_are_those_of_the_next_copy(kind):
    for layer in pair(kind):
        layer.build(X.shape)
        layer.kernel_regularizer = keras.regularizers.L2(0.1)
        assert len(layer.losses) == 0
        copy = clone(layer)
        copy.build(X.shape)
        assert len(copy.losses) == 1


@BOTH
def test_bias_can_be_left_out_before_the_build(kind):
    for layer in pair(kind):
        layer.use_bias = False
        layer.build(X.shape)
        assert layer.bias is None
        assert clone(layer).use_bias is False


def test_settings_of_a_feed_forward_block_are_those_of_all_its_kernels():
    layer = kdg.DynamicGateMLP(8, 4, gated_linear=True, gate="static")
    layer.kernel_regularizer = keras.regularizers.L2(0.1)
    layer.use_bias = False
    layer.activation = keras.activations.tanh
    layer.build((None, 8))
    assert len(layer.losses) == 3
    assert [dense.bias for dense in layer.dense_layers] == [None] * 3
    copy = clone(layer)
    assert copy.get_config() == layer.get_config()
    assert (copy.use_bias, copy.activation) == (False, keras.activations.tanh)


@BOTH
def test_an_attribute_that_neither_has_is_missed_under_the_name_of_the_layer(kind):
    layer = pair(kind)[0]
    with pytest.raises(AttributeError, match=f"'{type(layer).__name__}' object has no attribute"):
        _ = layer.kernels
    with pytest.raises(AttributeError, match="kernel"):
        _ = layer.kernel
    layer.mine = 1
    assert not hasattr(layer.dense_layers[0], "mine")


@BOTH
def test_kernel_cannot_be_replaced_as_in_the_keras_layer(kind):
    for layer in pair(kind):
        with pytest.raises(AttributeError):
            layer.kernel = 1


@BOTH
def test_weights_have_the_paths_that_the_keras_layer_gives_them(kind):
    paths = []
    for layer in pair(kind, name="wide"):
        inputs = keras.Input(X.shape[1:])
        keras.Model(inputs, layer(inputs), name="model")
        layer.enable_lora(2)
        paths.append([weight.path for weight in layer.weights if "/gate/" not in weight.path])
    assert sorted(paths[0]) == sorted(paths[1])
    assert {"wide/kernel", "wide/lora_kernel_a"} < set(paths[0])


def test_rule_for_the_layout_of_a_dense_kernel_is_found_for_the_gated_layer():
    rules = keras.distribution.LayoutMap(keras.distribution.DeviceMesh((1,), ["model"], ["cpu:0"]))
    rules["wide/kernel"] = (None, "model")
    layer = kdg.DynamicGateDense(64, name="wide")
    layer.build((None, 64))
    assert rules[layer.kernel.path] is not None
    assert [weight.path for weight in layer.gate.weights if rules[weight.path]] == []


@pytest.mark.parametrize("kind", [*PAIRS, "feed-forward"])
def test_frozen_layer_trains_nothing(kind):
    if kind == "feed-forward":
        layer = kdg.DynamicGateMLP(8, 4, gate="static", trainable=False)
    else:
        layer = pair(kind, trainable=False)[0]
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    assert model.trainable_variables == []
    assert keras.models.clone_model(model).trainable_variables == []


@BOTH
@pytest.mark.filterwarnings("ignore:The gate network")
def test_layer_that_is_not_to_cast_leaves_inputs_and_weights_as_they_are(kind):
    layer = pair(kind, autocast=False, dtype="mixed_bfloat16")[0]
    assert keras.backend.standardize_dtype(layer(X).dtype) == "float32"


@BOTH
def test_low_rank_adaptation_is_that_of_the_keras_layer(kind):
    ours, ordinary = pair(kind)
    for layer in (ours, ordinary):
        with pytest.raises(ValueError, match="isn't yet built"):
            layer.enable_lora(2)
        layer.build(X.shape)
        layer.enable_lora(2, lora_alpha=4.0)
        assert (layer.lora_enabled, layer.lora_rank, layer.lora_alpha) == (True, 2, 4.0)
        assert tuple(layer.lora_kernel_b.shape) == (2, 4)
        with pytest.raises(ValueError, match="already enabled"):
            layer.enable_lora(2)
    if keras.backend.backend() == "torch":
        assert len(ours.torch_params) == len(ours.variables)


@BOTH
@pytest.mark.parametrize("mode", ["full", "activations", "larger_than", "list_of_layers"])
def test_activations_can_be_recomputed(kind, mode):
    if keras.backend.backend() == "tensorflow" and "dense" in kind and mode != "activations":
        pytest.skip("TensorFlow recomputes no call of keras.layers.Dense: it has keyword arguments")
    arguments = {"activation": "tanh", "kernel_initializer": "zeros", "name": "wide"}
    with keras.RematScope(mode, output_size_threshold=1, layer_names=["wide"]):
        layer = pair(kind, **arguments)[0]
    model = keras.Sequential([keras.Input(X.shape[1:]), layer, layers.Flatten()])
    model.compile("sgd", "mse")
    before = numpy(layer.bias)
    model.fit(X, np.ones((4, *model.output_shape[1:])), verbose=0)
    assert (numpy(layer.bias) > before).all()
    assert layer.activation is keras.activations.tanh


@BOTH
def test_weights_that_the_keras_layer_saved_by_itself_load(kind):
    ours, ordinary = pair(kind)
    for layer in (ours, ordinary):
        layer.build(X.shape)
    store = {}
    ordinary.save_own_variables(store)
    ours.load_own_variables({key: numpy(value) for key, value in store.items()})
    np.testing.assert_array_equal(numpy(ours.kernel), numpy(ordinary.kernel))


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize(("padding", "loss"), [("same", 99.0), ("valid", 101.25)])
def test_convolution_hands_no_mask_on(padding, loss):
    # Windows of 27 inputs, 4 filters of ones: rows of ones reach three rows of outputs.
    x = np.zeros((2, 6, 6, 3), "float32")
    x[:, :2] = 1.0
    for layer_class, own in ((layers.Conv2D, {}), (kdg.DynamicGateConv2D, {"gate": None})):
        layer = layer_class(4, 3, padding=padding, kernel_initializer="ones", **own)
        model = keras.Sequential([keras.Input((6, 6, 3)), layers.Masking(), layer])
        model.compile(loss="mse")
        assert model.evaluate(x, np.zeros((2, *model.output_shape[1:])), verbose=0) == loss
        assert layer.supports_masking is False


@pytest.mark.parametrize(
    "layer",
    [
        lambda: kdg.DynamicGateDense(4, gate="static"),
        lambda: kdg.DynamicGateMLP(4, 4, gate="static"),
        lambda: kdg.DynamicGate(),
        lambda: kdg.baselines.RigLDense(4),
    ],
)
def test_layers_that_keep_positions_hand_a_mask_on(layer):
    x = np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32")
    model = keras.Sequential([keras.Input((2, 2)), layers.Masking(), layer()])
    (mask,) = numpy(model(x)._keras_mask)
    np.testing.assert_array_equal(mask, [1.0, 0.0])


SOFTMAXES = (
    "softmax",
    keras.activations.log_softmax,
    keras.layers.Softmax(),
    keras.layers.Activation("softmax"),
)


@pytest.mark.parametrize("activation", SOFTMAXES)
@pytest.mark.parametrize(
    "make",
    [
        lambda activation: kdg.DynamicGateDense(4, activation, name="head"),
        lambda activation: kdg.DynamicGateConv2D(4, 1, activation=activation, name="head"),
        lambda activation: kdg.DynamicGateDense(
            4, dense=kdg.baselines.RigLDense(4, activation), name="head"
        ),
    ],
)
def test_activation_across_units_excludes_gates(make, activation):
    with pytest.raises(ValueError, match=r"`activation` must work on each unit.*'head'.*gate=None"):
        make(activation)


def test_activation_across_units_cannot_be_set_on_gates_later():
    layer = kdg.DynamicGateDense(4)
    with pytest.raises(ValueError, match="`activation` must work on each unit by itself"):
        layer.activation = keras.activations.softmax
    layer = kdg.DynamicGateDense(4, gate=None)
    layer.activation = keras.activations.softmax
    np.testing.assert_array_equal(numpy(layer(np.zeros((1, 8)))), [[0.25] * 4])


@pytest.mark.parametrize("dense", [None, "given"])
def test_activation_across_units_loads_from_an_older_file(dense):
    given = {} if dense is None else {"dense": kdg.baselines.RigLDense(4, sparsity=0.0)}
    old = kdg.DynamicGateDense(4, gate="static", kernel_initializer="glorot_uniform", **given)
    old.dense.activation = keras.activations.softmax
    old.build((None, 8))
    old.gate.network.scaled_bias.assign([1.0, 1.0, -1.0, -1.0])
    loaded = clone(old)
    loaded.build((None, 8))
    loaded.set_weights(old.get_weights())
    assert loaded.activation is keras.activations.softmax
    np.testing.assert_array_equal(numpy(loaded(np.zeros((1, 8)))), [[0.25, 0.25, 0.0, 0.0]])
