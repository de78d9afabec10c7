"""Setting up and comparing models that are small enough to work out by hand."""

import keras
import numpy as np
from keras import ops

STATIC = {"gate": "static", "block_size": 1}


def set_gates(layer, is_open):
    """Open the gates of a layer where `is_open` is 1."""
    layer.gate.network.scaled_bias.assign(np.array(is_open, "float32") - 0.5)


def scatter(model, seed=0):
    """Give every weight but those of gates a random value."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "gate" not in weight.path.split("/")[:-1] and weight.dtype == "float32":
            weight.assign(rng.normal(size=weight.shape) ** 2 + 0.1)


def outputs_of(model, *inputs):
    """Run a model on arrays and give its outputs as a list of arrays."""
    inputs = inputs[0] if len(inputs) == 1 else list(inputs)
    outputs = model(inputs, training=False)
    return [ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]


def check_same(model, small, seed=1):
    """Compare the outputs of two models on random inputs."""
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(3, *tensor.shape[1:])) for tensor in model.inputs]
    pairs = zip(outputs_of(model, *inputs), outputs_of(small, *inputs), strict=True)
    for expected, output in pairs:
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def units(model):
    """Give the number of outputs of every layer with weights."""
    return [layer.output.shape[-1] for layer in model.layers if layer.weights]
