import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.conversion.gated_composite import GatedComposite
from keras_dynamicgate.layers.gated_layer import gated_layers

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

X = np.random.default_rng(0).normal(size=(4, 3, 8)).astype("float32")
KEEP = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], "float32")


@keras.saving.register_keras_serializable(package="tests")
class FeedForward(layers.Layer):
    """Dense layers that are held in a list and a dict: the first closes rows of the second."""

    def __init__(self, hidden, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.products = [layers.Dense(hidden, "gelu", name="wide")]
        self.named = {"narrow": layers.Dense(8, name="narrow")}

    def build(self, input_shape):
        self.products[0].build(input_shape)
        self.named["narrow"].build((*input_shape[:-1], self.hidden))

    def call(self, x):
        return self.named["narrow"](self.products[0](x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="tests")
class Block(layers.Layer):
    """A layer with several arguments, residual sums, a layer of layers and dropout."""

    def __init__(self, hidden, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.supports_masking = True

    def build(self, inputs_shape):
        self.projection = layers.Dense(8, name="projection")
        self.projection.build(inputs_shape)
        self.dropout = layers.Dropout(0.5)
        self.feed_forward = FeedForward(self.hidden, name="feed_forward")
        self.feed_forward.build(inputs_shape)

    def call(self, inputs, keep=None, training=None):
        x = inputs + self.dropout(self.projection(inputs), training=training)
        x = x + self.feed_forward(x)
        return x if keep is None else x * ops.expand_dims(keep, -1)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="tests")
class Unbuilt(layers.Layer):
    """A layer without `build`, with a Sequential model inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        parts = [keras.Input((None, 8)), layers.Dense(32, "relu", name="wide"), layers.Dense(8)]
        self.inside = keras.Sequential(parts, name="inside")
        self.after = layers.Dense(8)

    def call(self, x):
        return self.after(x + self.inside(x))


def scatter(model):
    """Give every weight a random value, so that a forgotten one would show."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def blocks():
    inputs, keep = keras.Input((None, 8), name="inputs"), keras.Input((None,), name="keep")
    x = Block(32, name="first")(inputs, keep=keep)
    x = Block(32, name="second")(x, keep=keep)
    return scatter(keras.Model([inputs, keep], layers.Dense(2)(x)))


def run(model, *inputs):
    return ops.convert_to_numpy(model(list(inputs) if len(inputs) > 1 else inputs[0]))


def check_same(model, gated, path, *inputs):
    np.testing.assert_allclose(run(gated, *inputs), run(model, *inputs), atol=1e-5)
    gated.save(path / "gated.keras")
    loaded = keras.saving.load_model(path / "gated.keras")
    np.testing.assert_array_equal(run(loaded, *inputs), run(gated, *inputs))
    for model in (gated, loaded):
        assert len({weight.path for weight in model.weights}) == len(model.weights)
    for old, new in zip(gated.trainable_weights, loaded.trainable_weights, strict=True):
        assert old.shape == new.shape


def test_feed_forward_layers_inside_composite_layers_are_gated(tmp_path):
    model = blocks()
    gated = kdg.gate_model(model)
    assert [layer.path for layer in gated_layers(gated)] == ["first/wide", "second/wide"]
    assert type(gated.get_layer("first")) is GatedComposite
    assert type(gated.get_layer("first").composite.projection) is layers.Dense
    assert type(model.get_layer("first").feed_forward.products[0]) is layers.Dense
    check_same(model, gated, tmp_path, X, KEEP)
    if keras.backend.backend() == "torch":
        composite = gated.get_layer("first").composite
        values = {id(variable.value) for variable in composite.variables}
        assert {*map(id, composite.parameters())} <= values
    report = kdg.count_macs(gated, [X, KEEP])
    counted = {layer.name: layer.dense for layer in report.layers}
    assert counted["first/projection"] == 3 * 8 * 8
    assert counted["first/feed_forward/wide"] == 3 * 8 * 32
    assert report.not_counted == []


def test_layers_are_named_with_the_layers_around_them():
    model = blocks()
    one = kdg.gate_model(model, layers={"second/feed_forward/wide": {"gate": "static"}})
    assert type(one.get_layer("first")) is Block
    (layer,) = gated_layers(one)
    assert not layer.gate.input_dependent
    assert len(gated_layers(kdg.gate_model(model, layers="wide"))) == 2
    with pytest.raises(ValueError, match="'first/projection' cannot: gates on it would spare no"):
        kdg.gate_model(model, layers="projection")


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_gates_inside_learn_and_a_budget_counts_them():
    inputs = [keras.Input((3, 8)), keras.Input((3,))]
    model = keras.Model(inputs, kdg.gate_model(blocks())(inputs))
    model.compile("adam", "mse")
    gate = gated_layers(model)[0].gate
    before = ops.convert_to_numpy(gate.network.scaled_bias).copy()
    model.fit([X, KEEP], np.ones((4, 3, 2)), epochs=2, verbose=0, callbacks=[kdg.MacBudget(0.9)])
    assert np.any(ops.convert_to_numpy(gate.network.scaled_bias) != before)
    assert len(np.unique(ops.convert_to_numpy(gate.usage))) > 1  # what training has seen


def test_gates_inside_start_from_data():
    gated = kdg.gate_model(blocks(), gate="static", calibration_data=[X, KEEP])
    for layer in gated_layers(gated):
        logits = ops.convert_to_numpy(layer.gate.network(ops.zeros((1, 8))))
        assert len(np.unique(logits)) == 32
        assert logits.min() > 0


def test_a_model_inside_a_layer_without_build_is_gated_too(tmp_path):
    inputs = keras.Input((3, 8))
    model = scatter(keras.Model(inputs, layers.Dense(2)(Unbuilt(name="unbuilt")(inputs))))
    gated = kdg.gate_model(model)
    (layer,) = gated_layers(gated)
    assert layer is gated.get_layer("unbuilt").composite.inside.layers[0]
    check_same(model, gated, tmp_path, X)


def test_masks_pass_and_frozen_layers_stay_frozen():
    inputs = keras.Input((3,), dtype="int32")
    embedded = layers.Embedding(5, 8, mask_zero=True)(inputs)
    block = Block(32, name="block", trainable=False)
    pooled = layers.GlobalAveragePooling1D()(block(embedded))  # over what is not masked
    model = scatter(keras.Model(inputs, pooled))
    gated = kdg.gate_model(model)
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    np.testing.assert_allclose(run(gated, ids), run(model, ids), atol=1e-5)
    assert gated.get_layer("block").supports_masking
    assert not gated.get_layer("block").trainable_weights


def test_activity_regularizers_charge_as_before():
    inputs = keras.Input((3, 8))
    block = Block(32, activity_regularizer=keras.regularizers.L2(0.1))
    model = scatter(keras.Model(inputs, layers.Dense(2)(block(inputs))))
    losses = []
    for each in (model, kdg.gate_model(model)):
        each(X)
        (loss,) = each.losses
        losses.append(ops.convert_to_numpy(loss))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


class Tuple(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.products = (layers.Dense(32), layers.Dense(8))

    def call(self, x):
        return self.products[1](self.products[0](x))


def test_layers_that_cannot_be_exchanged_are_out_of_reach():
    inputs = keras.Input((3, 8))
    model = keras.Model(inputs, layers.Dense(2)(Tuple()(inputs)))
    with pytest.raises(ValueError, match="out of reach inside other layers .*dense.*dense"):
        kdg.gate_model(model)


class Incomplete(FeedForward):
    """A layer whose `get_config` asks for an attribute that it does not have."""

    def get_config(self):
        return {**super().get_config(), "other": self.other}


def test_a_broken_config_is_made_from_the_attributes():
    inputs = keras.Input((3, 8))
    model = keras.Model(inputs, layers.Dense(2)(Incomplete(32, name="incomplete")(inputs)))
    gated = kdg.gate_model(model)
    config = gated.get_layer("incomplete").get_config()["composite"]["config"]
    assert (config["name"], config["hidden"]) == ("incomplete", 32)
    assert not gated.get_layer("incomplete").supports_masking


@keras.saving.register_keras_serializable(package="tests")
class Residual(layers.Layer):
    """Adds what a layer gives, and is saved with that layer in its config."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        if not self.inner.built:
            self.inner.build(input_shape)

    def call(self, x):
        return x + self.inner(x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "inner": inner}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config["inner"])
        return cls(**{**config, "inner": inner})


def block_model():
    parts = [keras.Input((3, 8)), layers.Dense(32, "relu"), layers.Dense(8)]
    return keras.Sequential(parts, name="inner")


@pytest.mark.parametrize("inner", [block_model, lambda: FeedForward(32, name="inner")])
def test_layers_that_serialize_the_layers_inside_are_gated(inner, tmp_path):
    inputs = keras.Input((3, 8))
    x = Residual(inner(), name="residual")(inputs)
    model = scatter(keras.Model(inputs, layers.Dense(2)(x)))
    gated = kdg.gate_model(model)
    (layer,) = gated_layers(gated)
    assert type(layer.dense.kernel_initializer) is keras.initializers.GlorotUniform
    check_same(model, gated, tmp_path, X)


def test_a_layer_that_two_composite_layers_hold_is_gated_once(tmp_path):
    shared = FeedForward(32, name="shared")
    inputs = keras.Input((3, 8))
    x = Residual(shared, name="second")(Residual(shared, name="first")(inputs))
    model = scatter(keras.Model(inputs, layers.Dense(2)(x)))
    gated = kdg.gate_model(model)
    assert len(gated_layers(gated)) == 1
    np.testing.assert_allclose(run(gated, X), run(model, X), atol=1e-5)


@pytest.mark.one_backend("torch")
@pytest.mark.parametrize(
    "block", [lambda: FeedForward(32), Unbuilt, lambda: Residual(block_model())]
)
def test_quantized_layers_inside_survive_saving_and_cloning(block, tmp_path):
    inputs = keras.Input((3, 8))
    model = scatter(keras.Model(inputs, layers.Dense(2)(block()(inputs))))
    gated = kdg.gate_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        gated.quantize("int8")
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    np.testing.assert_array_equal(run(loaded, X), run(gated, X))
    clone = keras.models.clone_model(gated)
    clone.set_weights(gated.get_weights())
    np.testing.assert_array_equal(run(clone, X), run(gated, X))


def test_a_lora_inside_is_merged_and_its_kernel_stays_frozen():
    inputs = keras.Input((3, 8))
    block = FeedForward(32, name="block")
    model = keras.Model(inputs, layers.Dense(2)(block(inputs)))
    narrow = block.named["narrow"]
    narrow.enable_lora(2)
    narrow.lora_kernel_b.assign(np.ones((2, 8)))
    gated = kdg.gate_model(model)
    np.testing.assert_allclose(run(gated, X), run(model, X), atol=1e-5)
    copy = gated.get_layer("block").composite.named["narrow"]
    assert not copy.lora_enabled
    assert not copy.kernel.trainable
    assert copy.bias.trainable
