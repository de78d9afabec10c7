import keras
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers.gated_layer import gated_layers

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


def chosen(model, **arguments):
    return [layer.name for layer in gated_layers(kdg.gate_model(model, **arguments))]


class Scale(layers.Layer):
    """Divides by a temperature, as calibrated classifiers do."""

    def build(self, input_shape):
        self.temperature = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return x / self.temperature

    def compute_output_shape(self, input_shape):
        return input_shape


def head(hidden, units=3, name="head"):
    return layers.Dense(units, name=name)(hidden)


@pytest.mark.parametrize(
    "output",
    [
        lambda x, h: layers.Softmax()(layers.BatchNormalization()(head(h))),
        lambda x, h: layers.LayerNormalization()(head(h)),
        lambda x, h: layers.PReLU()(head(h)),
        lambda x, h: Scale()(head(h)),
        lambda x, h: head(h) / 2.0,
        lambda x, h: layers.Add()([head(x, name="wide"), head(h, name="deep")]),
        lambda x, h: ops.concatenate([head(h, 3, "class"), head(h, 4, "box")], axis=-1),
    ],
)
def test_layers_whose_features_are_an_output_are_heads(output):
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, "relu", name="hidden")(inputs)
    assert chosen(keras.Model(inputs, output(inputs, hidden))) == ["hidden"]


def test_layers_whose_features_are_multiplied_and_added_up_are_no_heads():
    inputs = keras.Input((6,))
    one, other = (layers.Dense(8, name=name)(inputs) for name in ("one", "other"))
    assert chosen(keras.Model(inputs, layers.Dot(axes=-1)([one, other]))) == ["one", "other"]
    summed = layers.Add()([one, other])
    assert chosen(keras.Model(inputs, head(summed))) == ["one", "other"]


def classifier():
    parts = [layers.Dense(8, name="first"), layers.Dense(8, name="second"), layers.Dense(3)]
    return keras.Sequential([keras.Input((6,)), *parts])


def test_functions_and_types_leave_the_head_alone():
    assert chosen(classifier(), layers=lambda layer: True) == ["first", "second"]
    assert chosen(classifier(), layers=(layers.Dense,)) == ["first", "second"]


MALFORMED = r"names to dicts of gate arguments. Received: layers="


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (5, MALFORMED + "5"),
        ([[1]], MALFORMED + r"\[\[1\]\]"),
        ([None], MALFORMED),
        ({"first": None}, MALFORMED),
        ({"first": 5}, MALFORMED),
        ({layers.Dense: {}}, MALFORMED),
        (layers.Conv2D, r"\{'first': 'Dense', .*'Dense'\}. Received: keras.layers.Conv2D"),
    ],
)
def test_choices_that_say_nothing_are_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(classifier(), layers=choice)


def test_a_layer_that_two_names_mean_takes_one_dict_of_arguments():
    block = keras.Sequential([keras.Input((6,)), layers.Dense(8, name="dense")], name="block")
    model = keras.Sequential([keras.Input((6,)), block, layers.Dense(2, name="head")])
    both = {"block/dense": {"block_size": 4}, "dense": {"block_size": 4}}
    assert gated_layers(kdg.gate_model(model, layers=both))[0].block_size == 4
    with pytest.raises(ValueError, match=r"'block/dense' one dict .*'block_size': 4.* and .*: 2"):
        kdg.gate_model(model, layers={**both, "dense": {"block_size": 2}})
