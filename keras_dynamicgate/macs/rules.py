"""What Keras's own layers cost and what they do to closed features."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product, per_channel, positions
from keras_dynamicgate.gating.openness import (
    JoinedOpen,
    Open,
    PooledOpen,
    ReshapedOpen,
    both,
    either,
)
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import IDENTITIES, PADDING, POOLING, RESIZING, by_name
from keras_dynamicgate.utils.types import Shape

# The products of a layer or operation and the flow of its (first) output.
Cost = tuple[list[Product], Flow]

# From a layer, the flows of its inputs and the shape of its (first) output to its cost.
Rule = Callable[[keras.layers.Layer, Sequence[Flow], Shape], Cost]


def dense(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Dense`."""
    product = Product(positions(shape) * flows[0].shape[-1] * shape[-1], flows[0].open)
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
    inputs_open = flows[0].open if contracted_last else None
    product = Product(outer * math.prod(sizes.values()), inputs_open)
    return [product], Flow(shape)


def convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Conv1D`, `Conv2D` and `Conv3D`."""
    channels, filters = flows[0].shape[_channel_axis(layer)], layer.filters
    macs = _spatial(layer, shape) * math.prod(layer.kernel_size) * channels * filters
    inputs_open = per_channel(flows[0]) if _channels_last(layer) else None
    product = Product(macs // layer.groups, inputs_open if layer.groups == 1 else None)
    return [product], after_product(layer, shape, product)


def depthwise_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `DepthwiseConv1D` and `DepthwiseConv2D`: a closed channel saves its own filter."""
    filters = shape[_channel_axis(layer)]
    macs = _spatial(layer, shape) * math.prod(layer.kernel_size) * filters
    inputs_open = per_channel(flows[0]) if _channels_last(layer) else None
    return [Product(macs, inputs_open)], Flow(shape)


def separable_convolution(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `SeparableConv1D` and `SeparableConv2D`: a depthwise, then a 1x1 convolution."""
    spatial = _spatial(layer, shape)
    middle = flows[0].shape[_channel_axis(layer)] * layer.depth_multiplier
    inputs_open = per_channel(flows[0]) if _channels_last(layer) else None
    depthwise = Product(spatial * math.prod(layer.kernel_size) * middle, inputs_open)
    # Both are linear with no bias between them: a closed channel stays closed in the middle.
    pointwise = Product(spatial * middle * layer.filters, inputs_open)
    return [depthwise, pointwise], after_product(layer, shape, pointwise)


def attention(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `MultiHeadAttention`: four projections, the scores and the weighted values."""
    query, value = flows[:2]
    key = flows[2] if len(flows) == 3 else value
    heads, key_size, value_size = layer.num_heads, layer.key_dim, layer.value_dim
    queries, values = positions(query.shape), positions(value.shape)
    axes = layer.attention_axes or range(1, len(query.shape))
    attended = math.prod(value.shape[axis - 1] for axis in axes)
    return [
        Product(queries * query.shape[-1] * heads * key_size, query.open),
        Product(values * key.shape[-1] * heads * key_size, key.open),
        Product(values * value.shape[-1] * heads * value_size, value.open),
        Product(queries * attended * heads * key_size),
        Product(queries * attended * heads * value_size),
        Product(queries * heads * value_size * shape[-1]),
    ], Flow(shape)


# Arguments given by name come in any order.
TENSOR_ARGUMENTS = {keras.layers.MultiHeadAttention: ("query", "value", "key")}


def _channels_last(layer: keras.layers.Layer) -> bool:
    return bool(layer.data_format == "channels_last")


def _channel_axis(layer: keras.layers.Layer) -> int:
    return -1 if _channels_last(layer) else 0


def _spatial(layer: keras.layers.Layer, shape: Shape) -> int:
    return positions(shape) if _channels_last(layer) else math.prod(shape[1:])


def unit_wise(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that keep each feature apart and turn 0 into 0."""
    return [], Flow(shape, flows[0].open, flows[0].producers)


def activation(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of activations: closed features stay closed if 0 is turned into 0."""
    if not is_feature_wise(getattr(layer, "activation", None)):
        return opening(layer, flows, shape)
    # Run the layer itself, since PReLU and the like have a weight for each feature.
    zeros = ops.zeros((1, *flows[0].shape))
    if np.any(ops.convert_to_numpy(layer(zeros))):
        return shifted(layer, flows, shape)
    return unit_wise(layer, flows, shape)


def shifted(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that keep each feature apart, but turn 0 into something else."""
    return [], Flow(shape, producers=flows[0].producers)


def opening(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers without a product after which everything counts as open."""
    return [], Flow(shape)


def pooling(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that work on each channel by itself: pooling, padding, cropping, resizing."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return [], Flow(shape)
    return [], Flow(shape, _without_positions(flows[0], shape), flows[0].producers)


def _without_positions(flow: Flow, shape: Shape) -> Open | None:
    channels = per_channel(flow)
    if channels is None or len(shape) == len(flow.shape):
        return channels
    return PooledOpen(channels)


def reshape(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Flatten` and `Reshape`."""
    flow = flows[0]
    if shape == flow.shape or flow.open is None:
        return [], Flow(shape, flow.open if shape == flow.shape else None)
    return [], Flow(shape, ReshapedOpen(flow.open, flow.shape, shape))


def concatenate(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Concatenate` on the last axis."""
    others = shape[-1] - sum(flow.shape[-1] for flow in flows)
    if layer.axis not in (-1, len(shape)) or others or all(flow.open is None for flow in flows):
        return [], Flow(shape)
    return [], Flow(shape, JoinedOpen(tuple((flow.open, flow.shape[-1]) for flow in flows)))


def added(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Add`, `Subtract`, `Average`, `Maximum` and `Minimum`: open if one side is."""
    return [], Flow(shape, _merge(flows, either))


def multiplied(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Multiply`: open if both sides are.

    What a gate closes on one side need not be computed on the other. The gate does not depend on
    that other side, which has no other consumer where it has producers.
    """
    if any(flow.shape != shape for flow in flows):
        return [], Flow(shape)
    for flow in flows:
        for product in flow.producers:
            for other in flows:
                if other is not flow:
                    product.outputs = both(product.outputs, other.open)
    producers = tuple(product for flow in flows for product in flow.producers)
    return [], Flow(shape, _merge(flows, both), producers)


def _merge(
    flows: Sequence[Flow], merge: Callable[[Open | None, Open | None], Open | None]
) -> Open | None:
    if any(flow.shape != flows[0].shape for flow in flows):
        return None
    merged = flows[0].open
    for flow in flows[1:]:
        merged = merge(merged, flow.open)
    return merged


RULES: dict[type[keras.layers.Layer], Rule] = {
    **by_name(dense, "Dense"),
    **by_name(einsum_dense, "EinsumDense"),
    **by_name(convolution, "Conv1D", "Conv2D", "Conv3D"),
    **by_name(depthwise_convolution, "DepthwiseConv1D", "DepthwiseConv2D"),
    **by_name(separable_convolution, "SeparableConv1D", "SeparableConv2D"),
    **by_name(attention, "MultiHeadAttention"),
    **by_name(unit_wise, *IDENTITIES),
    **by_name(activation, "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
    **by_name(shifted, "BatchNormalization", "Normalization", "Rescaling"),
    **by_name(
        opening,
        "InputLayer",
        "Softmax",
        "LayerNormalization",
        "RMSNormalization",
        "GroupNormalization",
        "UnitNormalization",
        "Embedding",
        "Masking",
        "Permute",
        "RepeatVector",
    ),
    **by_name(pooling, *POOLING, *RESIZING, *PADDING),
    **by_name(reshape, "Flatten", "Reshape"),
    **by_name(concatenate, "Concatenate"),
    **by_name(added, "Add", "Subtract", "Average", "Maximum", "Minimum"),
    **by_name(multiplied, "Multiply"),
}
