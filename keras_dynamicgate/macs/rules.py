"""What Keras's own layers cost and what they do to closed features."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.gating.openness import (
    Open,
    PooledOpen,
    ReshapedOpen,
    both,
    either,
    joined,
)
from keras_dynamicgate.graph.element_wise import is_feature_wise, keeps_zero
from keras_dynamicgate.graph.layer_types import (
    IDENTITIES,
    PADDING,
    POOLING,
    RESIZING,
    by_name,
    is_on_last_axis,
    is_padded,
)
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
    return [], dataclasses.replace(flows[0], shape=shape)


def activation(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of activations: closed features stay closed, at 0 if that is turned into 0."""
    if not is_feature_wise(getattr(layer, "activation", None)):
        return opening(layer, flows, shape)
    if isinstance(layer, keras.layers.PReLU) and not flows[0].closed_at_zero:
        # Its slope may differ from position to position.
        return [], Flow(shape, producers=flows[0].producers)
    # Run the layer itself, since PReLU and the like have a weight for each feature.
    zeros = ops.zeros((1, *flows[0].shape))
    if np.any(ops.convert_to_numpy(layer(zeros))):
        return shifted(layer, flows, shape)
    return unit_wise(layer, flows, shape)


def shifted(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that keep each feature apart, but turn 0 into something else."""
    return [], flows[0].shifted()


def normalization(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `BatchNormalization` and `Normalization`."""
    on_last_axis = is_on_last_axis(layer, len(shape) + 1)
    return (shifted if on_last_axis else opening)(layer, flows, shape)


def rescaling(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Rescaling`, whose numbers may differ from feature to feature or position."""
    sizes = {math.prod(np.shape(each)) for each in (layer.scale, layer.offset)}
    return (shifted if sizes <= {1, shape[-1]} else opening)(layer, flows, shape)


def opening(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers without a product after which everything counts as open."""
    return [], Flow(shape)


def pooling(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that work on each channel by itself: pooling, cropping, resizing."""
    (flow,) = flows
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return [], Flow(shape)
    channels = flow.channels_read(padded=False)
    if channels is not None and len(shape) < len(flow.shape):
        channels = PooledOpen(channels)
    return [], dataclasses.replace(flow, shape=shape, open=channels)


def padding(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of layers that put zeros around: only a channel of zeros stays the same all over."""
    products, flow = pooling(layer, flows, shape)
    return products, dataclasses.replace(flow, open=flow.nonzero)


def reshape(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Flatten` and `Reshape`."""
    (flow,) = flows
    if shape == flow.shape:
        return unit_wise(layer, flows, shape)
    opening = flow.open
    if opening is not None and (opening.per_position or shape[-1] != flow.shape[-1]):
        opening = ReshapedOpen(opening, flow.shape, shape)
    return [], Flow(shape, opening, closed_at_zero=flow.closed_at_zero)


def concatenate(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Concatenate` on the last axis."""
    others = shape[-1] - sum(flow.shape[-1] for flow in flows)
    if layer.axis not in (-1, len(shape)) or others:
        return [], Flow(shape)
    opening = joined((flow.open, flow.shape[-1]) for flow in flows)
    return [], Flow(shape, opening, closed_at_zero=_all_at_zero(flows))


def added(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Add`, `Subtract`, `Average`, `Maximum` and `Minimum`: open if one side is."""
    return [], Flow(shape, _merge(flows, either), closed_at_zero=_all_at_zero(flows))


def multiplied(layer: keras.layers.Layer, flows: Sequence[Flow], shape: Shape) -> Cost:
    """Rule of `Multiply`: open if both sides are, also where one holds for all positions.

    What is 0 on one side need not be computed on the other. The gate that makes it 0 does not
    depend on that other side, which has no other consumer where it has producers.
    """
    if any(len(flow.shape) != len(shape) or flow.shape[-1] != shape[-1] for flow in flows):
        return [], Flow(shape)
    alike = all(flow.shape == shape for flow in flows)
    nonzero = [flow.nonzero if alike else flow.channels_read(padded=True) for flow in flows]
    for flow in flows:
        for product in flow.producers:
            for other, opening in zip(flows, nonzero, strict=True):
                if other is not flow:
                    product.outputs = both(product.outputs, opening)
    producers = tuple(product for flow in flows for product in flow.producers)
    return [], Flow(shape, functools.reduce(both, nonzero), producers)


def _merge(
    flows: Sequence[Flow], merge: Callable[[Open | None, Open | None], Open | None]
) -> Open | None:
    if any(flow.shape != flows[0].shape for flow in flows):
        return None
    return functools.reduce(merge, (flow.open for flow in flows))


def _all_at_zero(flows: Sequence[Flow]) -> bool:
    return all(flow.closed_at_zero for flow in flows)


RULES: dict[type[keras.layers.Layer], Rule] = {
    **by_name(dense, "Dense"),
    **by_name(einsum_dense, "EinsumDense"),
    **by_name(convolution, "Conv1D", "Conv2D", "Conv3D"),
    **by_name(depthwise_convolution, "DepthwiseConv1D", "DepthwiseConv2D"),
    **by_name(separable_convolution, "SeparableConv1D", "SeparableConv2D"),
    **by_name(attention, "MultiHeadAttention"),
    **by_name(unit_wise, *IDENTITIES),
    **by_name(activation, "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
    **by_name(normalization, "BatchNormalization", "Normalization"),
    **by_name(rescaling, "Rescaling"),
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
    **by_name(pooling, *POOLING, *RESIZING),
    **by_name(padding, *PADDING),
    **by_name(reshape, "Flatten", "Reshape"),
    **by_name(concatenate, "Concatenate"),
    **by_name(added, "Add", "Subtract", "Average", "Maximum", "Minimum"),
    **by_name(multiplied, "Multiply"),
}
