import keras
import numpy as np
from keras import layers

from keras_dynamicgate.graph.calls import calls_inside


class Outer(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(1, 2)
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(self.attention(x, value=x))


def built():
    layer = Outer()
    layer(np.ones((1, 5, 4)))
    return layer


def test_the_layers_that_a_layer_calls_itself_are_listed_with_their_shapes():
    layer = built()
    calls = calls_inside(layer, (keras.KerasTensor((1, 5, 4)),), {"training": False})
    assert [call.layer for call in calls] == [layer.attention, layer.dense]
    assert [call.shape for call in calls] == [(1, 5, 4), (1, 5, 3)]
    assert calls[0].kwargs["value"].shape == (1, 5, 4)
    assert "call" not in vars(layer.dense)


def test_a_layer_that_needs_values_has_no_calls():
    def call(x):
        raise TypeError("x has no values")

    layer = built()
    layer.dense.call = call
    assert calls_inside(layer, (keras.KerasTensor((1, 5, 4)),), {}) == []


def test_a_layer_keeps_a_call_of_its_own():
    layer = built()
    own = layer.dense.call
    layer.dense.call = own
    calls_inside(layer, (keras.KerasTensor((1, 5, 4)),), {})
    assert vars(layer.dense)["call"] is own
