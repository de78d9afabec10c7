"""What Keras's layers with a product cost."""

import math
from collections.abc import Callable, Sequence

import keras

from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.graph.element_wise import is_feature_wise, keeps_zero
from keras_dynamicgate.graph.layer_types import by_name, is_padded
from keras_dynamicgate.utils.types import Shape

# The products of a layer or operation and the flow of its (first) output.
Cost = tuple[list[Product], Flow]

# From a layer, the flows of its inputs and the shape of its (first) output to its cost, or to
# `None` for a layer that the rule does not cover.
Rule = Callable[[keras.layers.Layer, Sequence[Flow], Shape], Cost | None]


def dense(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Dense`."""
    macs = positions(shape) * flows[0].shape[-1] * shape[-1]
    product = Product(macs, flows[0].open, layer=layer, nonzero=flows[0].nonzero)
    return [product], after_product(layer, shape, product)


def after_product(layer: keras.layers.Layer, shape: Shape, product: Product) -> Flow:
    """Give the flow of a layer's product, whose output units are the layer's own."""
    # An activation across units, such as softmax, needs all of them.
    return Flow(shape, producers=(product,) if is_feature_wise(layer.activation) else ())


def einsum_dense(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `EinsumDense`: the product of the sizes of all letters of the equation."""
    operands, output = layer.equation.replace(" ", "").replace("...", "").split("->")
    inputs, kernel = operands.split(",")
    input_sizes = dict(zip(reversed(inputs), reversed(flows[0].shape), strict=False))
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    outer = math.prod(flows[0].shape) // math.prod(
        size for letter, size in input_sizes.items() if letter in kernel
    )
    contracted_last = inputs[-1] not in output
    inputs_open = flows[0].nonzero if contracted_last else None
    product = Product(outer * math.prod(sizes.values()), inputs_open)
    return [product], Flow(shape)


def convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Conv1D`, `Conv2D` and `Conv3D`."""
    channels, filters = flows[0].shape[_channel_axis(layer)], layer.filters
    macs = _spatial(layer, shape) * math.prod(layer.kernel_size) * channels * filters
    whole = layer.groups != 1 or not _channels_last(layer)
    inputs_open = None if whole else flows[0].channels_read(is_padded(layer))
    product = Product(macs // layer.groups, inputs_open)
    if not whole:
        product.layer, product.nonzero = layer, flows[0].nonzero
    if layer.groups not in (1, filters):
        # A single filter of a group saves nothing: groups are of one size.
        return [product], Flow(shape)
    return [product], after_product(layer, shape, product)


def depthwise_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `DepthwiseConv1D` and `DepthwiseConv2D`: a closed channel saves its own filter.

    A channel that is closed behind it need not be computed before it, either.
    """
    (flow,) = flows
    macs = _spatial(layer, shape) * math.prod(layer.kernel_size) * shape[_channel_axis(layer)]
    if not _channels_last(layer) or not is_feature_wise(layer.activation):
        return [Product(macs)], Flow(shape)
    inputs_open = flow.channels_read(is_padded(layer))
    if layer.depth_multiplier != 1:
        return [Product(macs, inputs_open)], Flow(shape)
    product = Product(macs, outputs=inputs_open)
    at_zero = flow.closed_at_zero and not layer.use_bias and keeps_zero(layer.activation)
    return [product], Flow(shape, inputs_open, (product, *flow.producers), at_zero)


def separable_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `SeparableConv1D` and `SeparableConv2D`: a depthwise, then a 1x1 convolution."""
    spatial = _spatial(layer, shape)
    middle = flows[0].shape[_channel_axis(layer)] * layer.depth_multiplier
    inputs_open = flows[0].channels_read(is_padded(layer)) if _channels_last(layer) else None
    depthwise = Product(spatial * math.prod(layer.kernel_size) * middle, inputs_open)
    # Both are linear with no bias between them: a closed channel stays closed in the middle.
    pointwise = Product(spatial * middle * layer.filters, inputs_open)
    return [depthwise, pointwise], after_product(layer, shape, pointwise)


def transposed_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Conv1DTranspose` and the like: each input position multiplies the whole kernel."""
    macs = _spatial(layer, flows[0].shape) * math.prod(layer.kernel.shape)
    inputs_open = flows[0].channels_read(padded=True) if _channels_last(layer) else None
    product = Product(macs, inputs_open)
    return [product], after_product(layer, shape, product)


def attention(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `MultiHeadAttention`: four projections, the scores and the weighted values."""
    query, value = flows[:2]
    key = flows[2] if len(flows) == 3 else value
    heads, key_size, value_size = layer.num_heads, layer.key_dim, layer.value_dim
    queries, values = positions(query.shape), positions(value.shape)
    axes = layer.attention_axes or range(1, len(query.shape))
    attended = math.prod(value.shape[axis - 1] for axis in axes)
    return [
        Product(queries * query.shape[-1] * heads * key_size, query.nonzero),
        Product(values * key.shape[-1] * heads * key_size, key.nonzero),
        Product(values * value.shape[-1] * heads * value_size, value.nonzero),
        Product(queries * attended * heads * key_size),
        Product(queries * attended * heads * value_size),
        Product(queries * heads * value_size * shape[-1]),
    ], Flow(shape)


def additive_attention(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `AdditiveAttention`: the scores, where they are scaled, and the weighted values."""
    query, value = flows[:2]
    pairs = positions(query.shape) * value.shape[0]
    weighted = Product(pairs * value.shape[-1])
    scores = [Product(pairs * query.shape[-1])] if layer.use_scale else []
    return [*scores, weighted], Flow(shape)


def recurrent(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost | None:
    """Rule of `LSTM`, `GRU`, `SimpleRNN` and `RNN` with their cells: two products for each step."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    if any(type(cell) not in CELLS for cell in cells):
        return None
    steps, inputs_open = flows[0].shape[0], flows[0].channels_read(padded=True)
    products = []
    for cell in cells:
        products.append(Product(steps * math.prod(cell.kernel.shape), inputs_open))
        products.append(Product(steps * math.prod(cell.recurrent_kernel.shape)))
        inputs_open = None
    return products, Flow(shape)


CELLS = by_name(recurrent, "LSTMCell", "GRUCell", "SimpleRNNCell")


def recurrent_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `ConvLSTM2D` and the like: two convolutions for each step, at each position."""
    last, steps = _channels_last(layer), flows[0].shape[0]
    frame = shape[1:] if layer.return_sequences else shape
    spatial = positions(frame) if last else math.prod(frame[1:])
    inputs_open = flows[0].channels_read(padded=True) if last else None
    kernel, recurrent_kernel = layer.cell.kernel.shape, layer.cell.recurrent_kernel.shape
    return [
        Product(steps * spatial * math.prod(kernel), inputs_open),
        Product(steps * spatial * math.prod(recurrent_kernel)),
    ], Flow(shape)


def _channels_last(layer: keras.layers.Layer) -> bool:
    return bool(layer.data_format == "channels_last")


def _channel_axis(layer: keras.layers.Layer) -> int:
    return -1 if _channels_last(layer) else 0


def _spatial(layer: keras.layers.Layer, shape: Shape) -> int:
    return positions(shape) if _channels_last(layer) else math.prod(shape[1:])
