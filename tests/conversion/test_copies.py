import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def model(*arguments, **keywords):
    hidden = layers.Dense(8, *arguments, name="hidden", **keywords)
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, name="head")])


def run(model, x=X):
    return ops.convert_to_numpy(model(x))


def check_same(model):
    gated = kdg.gate_model(model)
    np.testing.assert_allclose(run(gated), run(model), atol=1e-5)
    return gated.layers[0]


def ones(shape, dtype=None):
    return ops.ones(shape, dtype)


def swish(x):
    return x * ops.sigmoid(1.7 * x)


def decay(weight):
    return 0.5 * ops.sum(ops.square(weight))


class Decay(keras.regularizers.Regularizer):
    def __call__(self, weight):
        return decay(weight)

    def get_config(self):
        return {}


def test_functions_as_initializers_are_kept():
    layer = check_same(model(kernel_initializer=ones, bias_initializer=ones))
    assert layer.dense.kernel_initializer is ones
    assert layer.dense.bias_initializer is ones


@pytest.mark.parametrize("regularizer", [decay, Decay()])
def test_functions_and_classes_need_not_be_registered(regularizer):
    original = model(swish, kernel_regularizer=regularizer)
    original.layers[1].activation = swish
    layer = check_same(original)
    assert layer.activation is swish
    kernel = ops.convert_to_numpy(layer.kernel)
    (loss,) = layer.losses
    np.testing.assert_allclose(ops.convert_to_numpy(loss), 0.5 * np.sum(kernel**2), rtol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Activated(layers.Layer):
    """A layer that makes an activation from a config, which a function of no name does not give."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self._function = function

    def call(self, x):
        return self._function(x)

    def get_config(self):
        function = keras.saving.serialize_keras_object(self._function)
        return {**super().get_config(), "function": function}

    @classmethod
    def from_config(cls, config):
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(**{**config, "function": function})


def test_a_function_that_cannot_be_found_is_named():
    original = keras.Sequential([keras.Input((6,)), layers.Dense(8), Activated(swish, name="act")])
    original.add(layers.Dense(2))
    message = r"'act' \(Activated\).*`@keras.saving.register_keras_serializable.*Received: swish$"
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(original)


@pytest.mark.parametrize(
    "activation",
    [layers.LeakyReLU(0.1), layers.ReLU(6.0), layers.ELU(), layers.Activation("tanh")],
)
def test_layers_that_map_each_number_by_itself_are_activations(activation, tmp_path):
    original = model(activation)
    gated = kdg.gate_model(original)
    assert type(gated.layers[0]) is kdg.DynamicGateDense
    assert gated.layers[0].activation is not activation
    np.testing.assert_allclose(run(gated), run(original), atol=1e-5)
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    np.testing.assert_array_equal(run(loaded), run(gated))


def test_weights_that_are_frozen_one_by_one_stay_frozen():
    original = model()
    original.layers[0].kernel.trainable = False
    original.layers[1].bias.trainable = False
    gated = kdg.gate_model(original)
    hidden, head = gated.layers
    assert not hidden.kernel.trainable
    assert hidden.bias.trainable
    assert head.kernel.trainable
    assert not head.bias.trainable
    assert all(weight.trainable for weight in hidden.gate.network.weights)


def test_a_lora_is_merged_and_gated_layers_start_a_new_one():
    original = model()
    original.layers[0].enable_lora(2)
    original.layers[0].lora_kernel_b.assign(np.ones((2, 8)))
    hidden = check_same(original)
    assert hidden.dense.lora_rank == 2
    assert not np.any(ops.convert_to_numpy(hidden.dense.lora_kernel_b))


class Own(keras.Model):
    def train_step(self, *arguments):
        raise NotImplementedError


class OwnSequence(keras.Sequential):
    def train_step(self, *arguments):
        raise NotImplementedError


def test_a_model_that_its_class_takes_inputs_and_outputs_for_stays_of_that_class():
    inputs = keras.Input((6,))
    original = Own(inputs, layers.Dense(2)(layers.Dense(8)(inputs)))
    assert isinstance(kdg.gate_model(original), Own)
    sequence = OwnSequence([inputs, layers.Dense(8), layers.Dense(2)])
    assert isinstance(kdg.gate_model(sequence), OwnSequence)


def test_random_numbers_of_the_caller_stay_what_they_were():
    def second_draw(between):
        keras.utils.set_random_seed(0)
        keras.random.uniform(())
        between()
        return float(ops.convert_to_numpy(keras.random.uniform(())))

    original = model()
    assert second_draw(lambda: kdg.gate_model(original)) == second_draw(lambda: None)


class Scale:
    """What Keras cannot write into a file."""

    factor = 2.0


@keras.saving.register_keras_serializable(package="tests")
class Scaled(layers.Layer):
    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.inner = layers.Dense(4)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x):
        return self.inner(x) * self.scale.factor

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def test_a_model_that_keras_could_not_load_is_warned_of_before_it_trains(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), Scaled(Scale()), layers.Dense(8, "relu"), layers.Dense(2)]
    )
    with pytest.warns(UserWarning, match=r"Keras will not be able to load .* `save_weights`"):
        gated = kdg.gate_model(model, gate="static")
    # The way that works.
    gated.layers[0].inner.bias.assign([1.0, 2.0, 3.0, 4.0])
    gated.save_weights(tmp_path / "learned.weights.h5")
    with pytest.warns(UserWarning, match="Keras will not be able to load"):
        again = kdg.gate_model(model, gate="static")
    again.load_weights(tmp_path / "learned.weights.h5")
    np.testing.assert_array_equal(run(again, np.ones((1, 4))), run(gated, np.ones((1, 4))))


def test_weights_that_layers_share_without_a_layer_are_refused():
    first, second = layers.Dense(4, "relu"), layers.Dense(4)
    model = keras.Sequential([keras.Input((4,)), first, layers.Dense(4, "relu"), second])
    second._trainable_variables[0] = first.kernel
    with pytest.raises(ValueError, match="must share weights by layers .*Received: model"):
        kdg.gate_model(model, layers=model.layers[1].name)
