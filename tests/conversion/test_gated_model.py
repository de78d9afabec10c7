"""Models of a class with a constructor of its own stay of that class."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers.gated_layer import gated_layers

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")


@keras.saving.register_keras_serializable("test_gated_model")
class Tower(keras.Model):
    """A model that makes its graph itself and holds layers in attributes of its own."""

    def __init__(self, width, depth=1, **kwargs):
        inputs = keras.Input((6,))
        self_blocks = [layers.Dense(width, "relu") for _ in range(depth)]
        inner = keras.Sequential([keras.Input((width,)), layers.Dense(width, "relu")], name="inner")
        x = inputs
        for block in self_blocks:
            x = block(x)
        super().__init__(inputs, layers.Dense(2, name="head")(inner(x)), **kwargs)
        self.blocks = self_blocks
        self.width = width
        self.depth = depth
        self.scale = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def shout(self, x):
        for block in self.blocks:
            x = block(x)
        return x

    def get_config(self):
        return {"width": self.width, "depth": self.depth, "name": self.name}


@keras.saving.register_keras_serializable("test_gated_model")
class Pair(keras.Model):
    """A model of another one that makes its graph itself."""

    def __init__(self, tower, **kwargs):
        inputs = tower.input
        super().__init__(inputs, tower(inputs), **kwargs)
        self.tower = tower

    def get_config(self):
        return {"tower": keras.saving.serialize_keras_object(self.tower)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["tower"]))


X = np.linspace(-1, 1, 12).reshape(2, 6).astype("float32")


def array(tensor):
    return ops.convert_to_numpy(tensor)


def close_half(model):
    for layer in gated_layers(model):
        bias = layer.gate.network.scaled_bias
        bias.assign(np.linspace(-1, 1, bias.shape[0]))


@pytest.mark.parametrize("make", [lambda: Tower(8, 2), lambda: Pair(Tower(8, 2))])
def test_a_model_stays_of_its_class_also_when_loaded(make, tmp_path):
    model = make()
    gated = kdg.gate_model(model)
    assert isinstance(gated, type(model))
    assert len(gated_layers(gated)) == 3
    np.testing.assert_allclose(array(gated(X)), array(model(X)), atol=1e-6)
    close_half(gated)
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    assert isinstance(loaded, type(model))
    assert len(gated_layers(loaded)) == 3
    np.testing.assert_array_equal(array(loaded(X)), array(gated(X)))
    assert len(loaded.weights) == len(gated.weights)


def test_attributes_hold_the_gated_layers_and_what_the_model_has_itself_is_copied():
    model = Tower(8, 2)
    model.scale.assign(3.0)
    gated = kdg.gate_model(model)
    assert [type(block).__name__ for block in gated.blocks] == ["DynamicGateDense"] * 2
    assert gated.layers[1] is gated.blocks[0]
    assert float(array(gated.scale)) == 3.0
    close_half(gated)
    # Half of the units are closed by now.
    assert np.all(array(gated.shout(X))[:, :4] == 0)
    assert [type(block).__name__ for block in model.blocks] == ["Dense"] * 2


def test_a_model_inside_stays_of_its_class_and_is_saved_by_itself(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(Tower(8, name="tower")(inputs)))
    gated = kdg.gate_model(model)
    tower = gated.get_layer("tower")
    assert isinstance(tower, Tower)
    tower.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras")
    np.testing.assert_array_equal(array(loaded(X)), array(tower(X)))


def test_gates_can_be_added_to_a_gated_model(tmp_path):
    gated = kdg.gate_model(Tower(8, 2), layers={"head": {"gate": "static", "block_size": 1}})
    both = kdg.gate_model(gated)
    assert isinstance(both, Tower)
    assert len(gated_layers(both)) == 4
    both.save(tmp_path / "both.keras")
    loaded = keras.saving.load_model(tmp_path / "both.keras")
    np.testing.assert_array_equal(array(loaded(X)), array(both(X)))


def test_a_quantized_gated_model_is_saved_and_loaded(tmp_path):
    gated = kdg.gate_model(Tower(8))
    close_half(gated)
    for layer in gated_layers(gated):
        layer.quantize("int8")
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    np.testing.assert_array_equal(array(loaded(X)), array(gated(X)))


def test_frozen_layers_stay_frozen_and_static_gates_train():
    model = Tower(8)
    model.blocks[0].trainable = False
    gated = kdg.gate_model(model, gate="static")
    assert not gated.blocks[0].trainable
    gated.compile("sgd", "mse")
    gated.fit(X, np.ones((2, 2)), verbose=0)


class Forgetful(keras.Model):
    def __init__(self, width):
        inputs = keras.Input((6,))
        super().__init__(inputs, layers.Dense(2)(layers.Dense(width)(inputs)))

    def get_config(self):
        return {}


def test_a_model_whose_config_does_not_lead_to_it_is_refused():
    message = r"'\w+' \(Forgetful\) cannot be copied as what it is.*keras.Model\(model.inputs"
    with pytest.raises(ValueError, match=message):
        kdg.gate_model(Forgetful(8))
