import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers.gated_layer import gated_layers

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

RNG = np.random.default_rng(0)


def scatter(model):
    """Give every weight a random value, so that a forgotten one would show."""
    for weight in model.weights:
        if weight.dtype == "float32":
            values = RNG.normal(size=weight.shape) * 0.5
            weight.assign(np.abs(values) + 0.1 if "variance" in weight.path else values)
    return model


def run(model, *inputs):
    inputs = inputs[0] if len(inputs) == 1 else list(inputs)
    return ops.convert_to_numpy(model(inputs, training=False))


def check_same(model, gated, *inputs, path=None):
    """Compare outputs, also of the saved and loaded gated model, if `path` is given."""
    expected = run(model, *inputs)
    np.testing.assert_allclose(run(gated, *inputs), expected, atol=1e-5)
    if path is not None:
        gated.save(path / "gated.keras")
        loaded = keras.saving.load_model(path / "gated.keras")
        np.testing.assert_array_equal(run(loaded, *inputs), run(gated, *inputs))
        assert len(gated_layers(loaded)) == len(gated_layers(gated))


def classifier():
    return scatter(
        keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(16, name="first"),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.Dropout(0.5),
                layers.Dense(8, "relu", name="second"),
                layers.Dense(4, name="head"),
                layers.Softmax(),
            ]
        )
    )


def names(model):
    return [layer.name for layer in gated_layers(model)]


X = RNG.normal(size=(32, 6)).astype("float32") * 100


@pytest.mark.parametrize("gate", ["static", "linear", "low_rank", "mlp", kdg.LowRankGate(rank=2)])
def test_outputs_are_the_same_for_any_input_also_after_saving(gate, tmp_path):
    model = classifier()
    gated = kdg.gate_model(model, gate=gate)
    assert type(gated) is keras.Sequential
    assert names(gated) == ["first_gate" if gate == "static" else "first", "second"]
    check_same(model, gated, X, path=tmp_path)
    assert kdg.count_macs(gated, X).open_ratio == 1.0
    assert float(gated_layers(gated)[0].gate.initial_open) == 0.99


def test_functional_model_with_branches_operations_and_several_inputs(tmp_path):
    one, other = keras.Input((6,), name="one"), keras.Input((6,), name="other")
    x = layers.Dense(8, "gelu")(one) * 0.5 + layers.Dense(8, use_bias=False)(other)
    x = layers.Concatenate()([ops.tanh(x), other])
    outputs = [layers.Dense(3, name="a")(x), layers.Dense(2, "softmax", name="b")(x)]
    model = scatter(keras.Model([one, other], outputs, name="two"))
    gated = kdg.gate_model(model, input_gate=True)
    assert (gated.name, len(gated.inputs), len(gated.outputs)) == ("two", 2, 2)
    assert names(gated)[:2] != names(gated)[2:]
    assert sum(isinstance(layer, kdg.DynamicGate) for layer in gated.layers) == 2
    assert not {"a", "b"} & set(names(gated))
    for got, wanted in zip(gated([X, X]), model([X, X]), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(got), ops.convert_to_numpy(wanted), atol=1e-5
        )


def test_convolutions_are_gated_by_channel(tmp_path):
    model = scatter(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
                layers.MaxPooling2D(),
                layers.Conv2D(8, 3, strides=2, use_bias=False, name="second"),
                layers.BatchNormalization(),
                layers.DepthwiseConv2D(1),
                layers.Conv2D(5, 1, name="head"),
                layers.GlobalAveragePooling2D(),
                layers.Activation("softmax"),
            ]
        )
    )
    gated = kdg.gate_model(model)
    assert names(gated) == ["first", "second"]
    check_same(model, gated, RNG.normal(size=(3, 8, 8, 3)), path=tmp_path)


def test_models_inside_models_are_gated_and_named_with_their_path(tmp_path):
    block = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, "relu", name="dense")], name="block"
    )
    inner = keras.Input((8,))
    tail = keras.Model(inner, layers.Dense(6, name="dense")(inner), name="tail")
    inputs = keras.Input((6,))
    model = scatter(keras.Model(inputs, layers.Dense(2, name="head")(tail(block(inputs)))))
    assert len(names(kdg.gate_model(model))) == 2
    gated = kdg.gate_model(model, layers="tail/dense")
    assert isinstance(gated.get_layer("tail").get_layer("dense"), kdg.DynamicGateDense)
    assert isinstance(gated.get_layer("block").get_layer("dense"), layers.Dense)
    check_same(model, kdg.gate_model(model, input_gate=True), X, path=tmp_path)
    assert len(gated_layers(kdg.gate_model(model, layers="dense"))) == 2


def test_a_shared_layer_is_gated_once_and_keeps_its_places(tmp_path):
    shared = layers.Dense(6, "tanh")
    inputs = keras.Input((6,))
    model = scatter(keras.Model(inputs, layers.Dense(2)(shared(shared(inputs)))))
    for calibration_data in (None, X):
        gated = kdg.gate_model(model, calibration_data=calibration_data)
        assert len(gated_layers(gated)) == 1
        check_same(model, gated, X, path=tmp_path)


@pytest.mark.parametrize(
    ("equation", "output_shape", "bias_axes"),
    [("...x,xy->...y", 8, "y"), ("abc,cd->abd", (5, 8), None)],
)
def test_feed_forward_einsum_dense_becomes_a_gated_dense(
    equation, output_shape, bias_axes, tmp_path
):
    model = keras.Sequential(
        [
            keras.Input((5, 6)),
            layers.EinsumDense(equation, output_shape, bias_axes=bias_axes, activation="relu"),
            layers.EinsumDense("abc,cde->abde", (5, 2, 3)),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    scatter(model)
    gated = kdg.gate_model(model)
    (layer,) = gated_layers(gated)
    assert layer.dense.use_bias == (bias_axes is not None)
    check_same(model, gated, RNG.normal(size=(3, 5, 6)), path=tmp_path)


def test_layers_are_chosen_by_name_type_function_or_settings():
    model = classifier()

    def chosen(layers):
        return names(kdg.gate_model(model, layers=layers))

    assert chosen("second") == ["second"]
    assert chosen(["second", "head"]) == ["second", "head"]
    assert chosen(layers.Dense) == ["first", "second"]
    assert chosen(lambda layer: layer.units < 10) == ["second"]
    gated = kdg.gate_model(
        model,
        layers={"first": {"gate": "static", "block_size": 4}, "second": {"min_open": 0.5}},
        block_size=2,
    )
    first, second = gated_layers(gated)
    assert (first.block_size, first.gate.input_dependent, first.gate.min_open) == (4, False, 0.0)
    assert (second.block_size, second.gate.input_dependent, second.gate.min_open) == (2, True, 0.5)


def test_state_that_is_no_weight_is_copied_too():
    normalization = layers.Normalization()
    normalization.adapt(X + 3.0)
    inputs = keras.Input((6,))
    x = layers.Lambda(lambda x: x + 1.0)(normalization(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(8, trainable=False)(x)))
    gated = kdg.gate_model(model, input_gate=True)
    check_same(model, gated, X)
    assert not gated_layers(gated)[-1].trainable


def test_the_original_is_not_changed_and_shares_no_weights():
    model = classifier()
    layer, before, output = model.layers[0], model.get_weights(), run(model, X)
    gated = kdg.gate_model(model, calibration_data=X, input_gate=True)
    gated.compile("sgd", "mse")
    gated.fit(X, np.ones((32, 4)), verbose=0)
    np.testing.assert_array_equal(run(model, X), output)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert layer.output is model.layers[1].input  # called in one place, as before
    assert not {id(weight) for weight in model.weights} & {id(weight) for weight in gated.weights}


def test_frozen_models_stay_frozen():
    block = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.Dense(6)])
    model = keras.Sequential([keras.Input((6,)), block, layers.Dense(2)])
    block.trainable = False
    block.layers[1].trainable = True
    gated = kdg.gate_model(model)
    assert not gated.layers[0].trainable
    assert [layer.trainable for layer in gated.layers[0].layers] == [False, True]


def test_mixed_precision_is_kept():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = classifier()
    gated = kdg.gate_model(model, calibration_data=X)
    assert gated.layers[0].dense.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(run(gated, X).astype("float32"), run(model, X).astype("float32"))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs)


def sequential(*parts):
    return keras.Sequential([keras.Input((6,)), *parts])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed, r"is subclassed.*in its constructor. Received: model of type Subclassed"),
        (lambda: keras.Sequential([layers.Dense(4)]), "is not built"),
        (lambda: sequential(layers.Dense(4)), r"no layer that could be gated.*name it in `layers`"),
        (lambda: sequential(layers.Dense(4, "softmax"), layers.Dense(2)), "across units"),
        (lambda: sequential(layers.Flatten()), "Received: a model with none"),
        (
            lambda: sequential(layers.Reshape((2, 3)), layers.TimeDistributed(layers.Dense(4))),
            "time_distributed/dense.*would spare no other layer",
        ),
        (lambda: 5, "`model` must be a Keras model"),
    ],
)
def test_models_that_cannot_be_gated_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(model())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "third"}, r"these can: \['first', 'second', 'head'\]. Received: 'third'"),
        ({"layers": keras.layers.LSTM}, r"or the types `keras.layers.Dense`"),
        ({"layers": {"first": {"units": 3}}}, r"arguments of gates, which are .*\['units'\]"),
        ({"block_size": 3}, r"Layer 'first' .*`block_size` must divide the number of units, 16"),
        ({"gate": "dynamic"}, r"`gate` must be one of"),
        ({"gate": None}, r"`gate` must name a gate network"),
        ({"initial_open": 0.5}, r"`initial_open` must be a number above `threshold`, 0.5"),
        ({"layers": "second", "input_gate": True}, r"`input_gate` must be `False` where no"),
        ({"calibration_data": X[:, :5]}, r"must have shape \(samples, 6\) .*shape=\(32, 5\)"),
        ({"calibration_data": X[:0]}, r"at least one sample"),
        ({"calibration_data": [X, X]}, r"an array for each input.*Received: 2 arrays"),
        ({"calibration_data": {"x": X}}, r"an array for each input.*Received: \['x'\]"),
        ({"calibration_data": X * np.nan}, r"must be finite. Received: 192 NaN"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(classifier(), **arguments)


def test_quantized_layers_stay_as_they_are(tmp_path):
    model = classifier()
    model.layers[0].quantize("int8")
    gated = kdg.gate_model(model)
    assert names(gated) == ["second"]
    check_same(model, gated, X / 100)
    with pytest.raises(ValueError, match="'first' cannot: it is quantized; gate the model first"):
        kdg.gate_model(model, layers="first")


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_gated_model_trains_to_a_budget():
    model = sequential(layers.Dense(32, "relu"), layers.Dense(16, "relu"), layers.Dense(2))
    gated = kdg.gate_model(model, calibration_data=X, gate=kdg.LowRankGate(1), block_size=4)
    gated.compile("adam", "mse")
    x = np.concatenate([X] * 8)
    gated.fit(x, x[:, :2] / 100, 8, epochs=4, verbose=0, callbacks=[kdg.MacBudget(0.7)])
    assert kdg.count_macs(gated, X).relative < 0.9
