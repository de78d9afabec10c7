"""What every layer of the package has to do, checked on one layer at a time."""

import os
import pathlib

import keras
import numpy as np
from keras import ops


def environment_of_a_user():
    """Give the variables for a process that trains as a user would, with what XLA optimises."""
    root = str(pathlib.Path(__file__).parents[1])
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return {**kept, "PYTHONPATH": root}


def check_layer(layer_class, arguments, input_shape, output_shape, trainable, non_trainable):
    """Build, round-trip, call, fit and mix the precision of a layer.

    Args:
        layer_class: The class of the layer.
        arguments: Dict of constructor arguments.
        input_shape: Tuple, with the batch axis.
        output_shape: The expected output shape, with the batch axis.
        trainable: Expected number of trainable weights.
        non_trainable: Expected number of non-trainable weights.
    """
    layer = layer_class(**arguments)
    x = np.random.default_rng(0).normal(size=input_shape).astype("float32")
    outputs = layer(x)
    assert tuple(outputs.shape) == output_shape
    assert len(layer.trainable_weights) == trainable
    assert len(layer.non_trainable_weights) == non_trainable
    assert layer.compute_output_shape(input_shape) == output_shape
    check_symbolic_call(layer_class(**arguments), input_shape, output_shape)
    check_config(layer, x)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        low = layer_class(**arguments, dtype=policy)(x)
        assert keras.backend.standardize_dtype(low.dtype) == policy.removeprefix("mixed_")
    check_fit(layer_class(**arguments), x, output_shape)


def check_symbolic_call(layer, input_shape, output_shape):
    """Call a layer on a symbolic input of unknown batch size."""
    output = layer(keras.Input(input_shape[1:]))
    assert output.shape == (None, *output_shape[1:])


def check_config(layer, x):
    """Rebuild a layer from its config: the same config, the same weights by name and shape."""
    config = layer.get_config()
    clone = type(layer).from_config(config)
    assert clone.get_config() == config
    clone(x)
    clone.set_weights(layer.get_weights())
    np.testing.assert_array_equal(
        ops.convert_to_numpy(clone(x, training=False)),
        ops.convert_to_numpy(layer(x, training=False)),
    )


def check_fit(layer, x, output_shape):
    """Train one compiled step: the loss is finite and every trainable weight has a gradient."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit())
    before = [ops.convert_to_numpy(weight).copy() for weight in layer.trainable_weights]
    y = np.ones(output_shape, "float32")
    history = model.fit(x, y, batch_size=len(x), epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        assert np.any(ops.convert_to_numpy(weight) != old), weight.path


def jit():
    """Compile by XLA where the backend has it: torch.compile would need a C++ compiler."""
    return keras.backend.backend() != "torch"


def gradient(function, value):
    """Differentiate a scalar function of one tensor on any backend."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(ops.convert_to_tensor(value)))
    if backend == "tensorflow":
        import tensorflow as tf

        tensor = tf.convert_to_tensor(value)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            result = function(tensor)
        return tape.gradient(result, tensor).numpy()
    import torch

    tensor = torch.tensor(value, requires_grad=True)
    function(tensor).backward()
    return tensor.grad.numpy()


def of_an_older_file(layer, activation):
    """Give a gated layer an activation across units, which only files of older versions have."""
    layer.dense.activation = keras.activations.get(activation)
    return layer
