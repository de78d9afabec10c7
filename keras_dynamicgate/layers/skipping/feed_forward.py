"""Skipping execution of a feed-forward block: closed blocks of hidden units are not computed.

`feed_forward` chooses by backend; where skipping is not possible or does not pay, it computes the
masked outputs instead.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.layers.skipping import tiles, torch_loop

EXECUTIONS = ("masked", "skip")

# Below this many weights in the kernels of one block, what a step of the loop costs beside its
# products eats up what it saves: 32 or 64 units of a feed-forward block with 1024 features.
LEAST_BLOCK_WEIGHTS = {"jax": 65536, "tensorflow": 65536, "torch": 131072}


class Weights(NamedTuple):
    """The tensors of a feed-forward block; `None` for those that it does not have."""

    hidden_kernel: object
    hidden_bias: object
    linear_kernel: object
    linear_bias: object
    output_kernel: object
    output_bias: object


def feed_forward(layer: keras.layers.Layer, inputs: Any, mask: Any) -> Any:
    """Compute the outputs of a `DynamicGateMLP` at inference from its open blocks.

    Args:
        layer: A built `DynamicGateMLP` with a gate.
        inputs: Tensor of shape `(batch, ..., features)`.
        mask: Tensor of zeros and ones that broadcasts to `(batch, ..., gates)`.

    Returns:
        The outputs, or `None` where the layer is to be computed masked: its blocks are small, its
        inner layers are quantized, have a LoRA or compute in another precision than their weights
        have, its activation may mix units, or skipping does not pay on this backend.
    """
    if not pays(layer, inputs.shape[-1]):
        return None
    x = ops.reshape(inputs, (-1, inputs.shape[-1]))
    # Static gates give one mask for all positions, which is worth knowing while tracing.
    rows = -1 if layer.gate.input_dependent else 1
    mask = ops.cast(ops.reshape(mask, (rows, mask.shape[-1])), x.dtype)
    outputs = _BACKENDS[keras.backend.backend()](x, mask, _weights(layer), layer)
    if outputs is None:
        return None
    return ops.reshape(outputs, (*ops.shape(inputs)[:-1], layer.units))


def pays(layer: keras.layers.Layer, features: int) -> bool:
    """Tell whether a block skips on the CPU at all, and its blocks are large enough to.

    Args:
        layer: A built `DynamicGateMLP` with a gate.
        features: Integer, the features of its input.
    """
    backend = keras.backend.backend()
    return (
        backend in _BACKENDS
        and _has_plain_products(layer)
        and is_feature_wise(layer.hidden_dense.activation)
        and not layer.gate.network.reads_outputs
        and _block_weights(layer, features) >= LEAST_BLOCK_WEIGHTS[backend]
    )


def _has_plain_products(layer: keras.layers.Layer) -> bool:
    # With mixed precision every call would convert the whole kernels, closed blocks included.
    same = layer.compute_dtype == layer.variable_dtype in ("float32", "float64")
    return same and not any(
        dense.quantization_mode or dense.lora_enabled for dense in layer.dense_layers
    )


def _block_weights(layer: keras.layers.Layer, features: int) -> int:
    into = 1 if layer.linear_dense is None else 2
    return layer.block_size * (into * features + layer.units)


def _weights(layer: keras.layers.Layer) -> Weights:
    pairs = [
        (None, None) if dense is None else (dense.kernel, dense.bias)
        for dense in (layer.hidden_dense, layer.linear_dense, layer.output_dense)
    ]
    return Weights(
        *(
            None if weight is None else ops.convert_to_tensor(weight)
            for pair in pairs
            for weight in pair
        )
    )


def _jax(x: Any, mask: Any, weights: Any, layer: keras.layers.Layer) -> Any:
    if not isinstance(x.shape[0], int):
        return None  # exported for batches of any size
    return _jax_function()(x, mask, weights, layer.hidden_dense.activation, layer.block_size)


@functools.cache
def _jax_function() -> Callable[..., Any]:
    import jax

    def run(x: Any, mask: Any, weights: Any, activation: Any, block_size: int) -> Any:
        options = {"activation": activation, "block_size": block_size}
        skip = functools.partial(
            tiles.skip, shared_mask=mask.shape[0] == 1, fewest_rows=1, **options
        )
        # Measured on CPUs only. The choice is made where the program is lowered, so a model
        # that is moved to an accelerator runs masked there.
        return jax.lax.platform_dependent(
            x,
            mask,
            weights,
            cpu=skip,
            default=functools.partial(tiles.masked, **options),
        )

    # Without `jit`, eager calls would compile the loop anew each time.
    return jax.jit(run, static_argnames=("activation", "block_size"))


def _tensorflow(x: Any, mask: Any, weights: Any, layer: keras.layers.Layer) -> Any:
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return None  # measured on CPUs only
    options = {"activation": layer.hidden_dense.activation, "block_size": layer.block_size}

    def pack(tensors: Any) -> Any:
        rest = iter(tensors)
        return Weights(*(None if weight is None else next(rest) for weight in weights))

    @tf.custom_gradient
    def run(x: Any, *tensors: Any) -> Any:
        # Stopped, or a tape would ask XLA for the gradient of a loop of unknown length.
        outputs = _tensorflow_function()(
            tf.stop_gradient(x),
            tf.stop_gradient(mask),
            pack(tf.stop_gradient(tensor) for tensor in tensors),
            shared_mask=mask.shape[0] == 1,
            fewest_rows=2,  # XLA in TensorFlow has a slow product for a single row
            **options,
        )

        def gradient(upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch((x, *tensors))
                again = tiles.masked(x, mask, pack(tensors), **options)
            return tape.gradient(again, (x, *tensors), upstream)

        return outputs, gradient

    # A variable instead of its value would be captured by the compiled function.
    return run(x, *(tf.convert_to_tensor(weight) for weight in weights if weight is not None))


@functools.cache
def _tensorflow_function() -> Callable[..., Any]:
    import tensorflow as tf

    # XLA for this part alone: Keras does not use it on CPUs by itself, and without it the loop
    # costs about what it saves.
    return tf.function(tiles.skip, jit_compile=True, reduce_retracing=True)


def _torch(x: Any, mask: Any, weights: Any, layer: keras.layers.Layer) -> Any:
    if x.device.type != "cpu":
        return None  # not measured on accelerators, and keras builds on the device "meta"
    options = {"activation": layer.hidden_dense.activation, "block_size": layer.block_size}
    if not torch_loop.is_traced():
        return torch_loop.skip(x, mask, weights, **options)
    if layer.gate.top_k is None or mask.shape[0] != 1:
        return None  # the number of open blocks is not known while tracing
    return torch_loop.gather(x, mask, weights, open_blocks=layer.gate.top_k, **options)


_BACKENDS = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
