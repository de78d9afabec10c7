"""Random models with static gates, for tests that compare two versions of a model."""

import keras
import numpy as np
from keras import layers, ops

import keras_dynamicgate as kdg

# All weights are set afterwards; zeros spare the compilation of random initializers.
ZEROS = {"kernel_initializer": "zeros"}
ACTIVATIONS = ("relu", "sigmoid", "tanh", "linear", "gelu")


def random_model(seed):
    """Build a model from a random choice of layers on a random graph, with gates half closed."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    shape = [(8,), (5, 6), (6, 6, 4)][seed % 3]
    inputs = [keras.Input(shape), keras.Input(shape)][: rng.integers(1, 3)]
    tensors = list(inputs)
    for _ in range(rng.integers(4, 9)):
        tensor = tensors[rng.integers(len(tensors))]
        tensors.append(_grow(tensor, tensors, rng))
    outputs = [_end(tensors[-1], rng), _end(tensors[-2], rng)][: rng.integers(1, 3)]
    # All inputs must reach an output.
    outputs[0] = layers.Concatenate()([outputs[0], *(layers.Flatten()(x) for x in inputs)])
    model = keras.Model(inputs, outputs)
    scatter_weights(model, rng)
    return model


def scatter_weights(model, rng):
    """Give all weights values that a test can tell apart, and close about half of the gates."""
    for weight in model.weights:
        if weight.dtype != "float32" or len(weight.shape) == 0:
            continue  # seeds, and what a gate knows about its training
        values = rng.normal(size=weight.shape, scale=0.5)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)


def _grow(tensor, tensors, rng):
    """Add a random layer to a tensor."""
    rank = len(tensor.shape)
    choices = [_gated_dense, _dense, _gate, _activation, _dropout, _mlp, _norm, _inner]
    if rank == 4:
        choices += [_conv, _conv, _depthwise, _pool, _pad]
    if rank > 2:
        choices += [_flatten, _layer_norm]
    same = [other for other in tensors if other.shape == tensor.shape]
    if len(same) > 1:
        choices += [_merge] * 3
    if len([other for other in tensors if other.shape[:-1] == tensor.shape[:-1]]) > 1:
        choices += [_concatenate]
    return choices[rng.integers(len(choices))](tensor, tensors, rng)


def _activation_name(rng):
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]


def _gated_dense(tensor, tensors, rng):
    gates = {"gate": "static", "block_size": int(rng.integers(1, 3))}
    if rng.random() < 0.3:
        gates["top_k"] = 2
    if rng.random() < 0.2:
        gates = {"gate": ("linear", "low_rank", "mlp")[rng.integers(3)], "block_size": 2}
    return kdg.DynamicGateDense(8, _activation_name(rng), bool(rng.integers(2)), **gates, **ZEROS)(
        tensor
    )


def _mlp(tensor, tensors, rng):
    return kdg.DynamicGateMLP(
        8,
        4,
        _activation_name(rng),
        gate=("static", "linear")[int(rng.random() < 0.2)],
        block_size=2,
        gated_linear=bool(rng.integers(2)),
        **ZEROS,
    )(tensor)


def _dense(tensor, tensors, rng):
    return layers.Dense(6, _activation_name(rng), use_bias=bool(rng.integers(2)), **ZEROS)(tensor)


def _gate(tensor, tensors, rng):
    return kdg.DynamicGate(min_open=0.2)(tensor)


def _activation(tensor, tensors, rng):
    return layers.Activation((*ACTIVATIONS, "softmax")[rng.integers(6)])(tensor)


def _dropout(tensor, tensors, rng):
    return layers.Dropout(0.5)(tensor)


def _norm(tensor, tensors, rng):
    return layers.BatchNormalization()(tensor)


def _layer_norm(tensor, tensors, rng):
    return layers.LayerNormalization()(tensor)


def _conv(tensor, tensors, rng):
    kernel = int(min(rng.integers(1, 4), tensor.shape[1]))
    padding = ("valid", "same")[rng.integers(2)]
    activation = _activation_name(rng)
    convolution = layers.Conv2D(5, kernel, padding=padding, activation=activation, **ZEROS)
    return kdg.DynamicGate()(convolution(tensor))


def _depthwise(tensor, tensors, rng):
    multiplier = int(rng.integers(1, 3))
    return layers.DepthwiseConv2D(
        2, padding="same", depth_multiplier=multiplier, depthwise_initializer="zeros"
    )(tensor)


def _pool(tensor, tensors, rng):
    if rng.random() < 0.3:
        return layers.GlobalAveragePooling2D()(tensor)
    return layers.MaxPooling2D(2, padding="same")(tensor)


def _pad(tensor, tensors, rng):
    return layers.ZeroPadding2D(1)(tensor)


def _flatten(tensor, tensors, rng):
    if rng.random() < 0.5:
        return layers.Reshape((-1, tensor.shape[-1]))(tensor)
    return layers.Flatten()(tensor)


def _merge(tensor, tensors, rng):
    same = [other for other in tensors if other.shape == tensor.shape]
    other = same[rng.integers(len(same))]
    kinds = (layers.Add(), layers.Multiply(), layers.Maximum(), layers.Average())
    if rng.random() < 0.2:
        return ops.add(tensor, other)
    return kinds[rng.integers(4)]([tensor, other])


def _concatenate(tensor, tensors, rng):
    same = [other for other in tensors if other.shape[:-1] == tensor.shape[:-1]]
    return layers.Concatenate()([tensor, same[rng.integers(len(same))]])


def _inner(tensor, tensors, rng):
    start = keras.Input(tensor.shape[1:])
    hidden = _gated_dense(start, tensors, rng)
    inner = keras.Model(start, layers.Dense(4, **ZEROS)(hidden))
    if rng.random() < 0.3:
        return layers.Add()([inner(tensor), inner(tensor)])
    return inner(tensor)


def _end(tensor, rng):
    if len(tensor.shape) > 2:
        tensor = layers.Flatten()(tensor)
    return layers.Dense(3, **ZEROS)(tensor) if rng.random() < 0.7 else tensor
