"""Makes a model with every gated layer; run as a script, saves it for another backend to load."""

import sys

import keras
import numpy as np

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.record import record_gates

X = np.random.default_rng(3).normal(size=(16, 4, 32)).astype("float32")


def build():
    """Build a model whose gates are half open, so that wrong masks would show."""
    keras.utils.set_random_seed(5)
    half = {"initial_open": 0.5, "block_size": 4}
    inputs = keras.Input((4, 32))
    x = kdg.DynamicGate(gate="linear", initial_open=0.5)(inputs)
    x = kdg.DynamicGateDense(32, "relu", gate="low_rank", temperature=0.5, **half)(x)
    x = kdg.DynamicGateDense(32, "relu", gate=kdg.MLPGate(4), threshold=0.45, **half)(x)
    x = kdg.DynamicGateMLP(64, 32, "gelu", gated_linear=True, top_k=5, **half)(x)
    x = keras.layers.Flatten()(x)
    x = kdg.DynamicGate(gate="static", top_k=100)(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    for layer in kdg.layers.gated_layer.gated_layers(model):
        # What a callback may have changed has to be in the file, too.
        layer.gate.temperature.assign(0.75)
    return model


def masks(model):
    """Give the masks of all gates by the name of their layer."""
    with record_gates() as record:
        model(X, training=False)
    found = record.masks()
    return {layer.name: found[layer.gate] for layer in kdg.layers.gated_layer.gated_layers(model)}


if __name__ == "__main__":
    path = sys.argv[1]
    model = build()
    model.save(path)
    np.savez(path + ".npz", outputs=model.predict(X, verbose=0), **masks(model))
