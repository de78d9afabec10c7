"""What Keras's own layers cost and what they do to closed features."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.gating.openness import (
    Open,
    PooledOpen,
    ReshapedOpen,
    both,
    either,
    joined,
)
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import (
    IDENTITIES,
    PADDING,
    POOLING,
    PREPROCESSING,
    RESIZING,
    by_name,
    is_on_last_axis,
)
from keras_dynamicgate.macs import products
from keras_dynamicgate.macs.products import Cost, Rule
from keras_dynamicgate.utils.types import Shape

# Arguments given by name come in any order.
TENSOR_ARGUMENTS = {keras.layers.MultiHeadAttention: ("query", "value", "key")}


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
    flow = flows[0]  # A timestep mask may follow.
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
    **by_name(products.dense, "Dense"),
    **by_name(products.einsum_dense, "EinsumDense"),
    **by_name(products.convolution, "Conv1D", "Conv2D", "Conv3D"),
    **by_name(products.depthwise_convolution, "DepthwiseConv1D", "DepthwiseConv2D"),
    **by_name(products.separable_convolution, "SeparableConv1D", "SeparableConv2D"),
    **by_name(
        products.transposed_convolution, "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"
    ),
    **by_name(products.attention, "MultiHeadAttention"),
    **by_name(products.additive_attention, "AdditiveAttention"),
    **by_name(products.recurrent, "RNN", "SimpleRNN", "LSTM", "GRU"),
    **by_name(products.recurrent_convolution, "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
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
        *PREPROCESSING,
    ),
    **by_name(pooling, *POOLING, *RESIZING),
    **by_name(padding, *PADDING),
    **by_name(reshape, "Flatten", "Reshape"),
    **by_name(concatenate, "Concatenate"),
    **by_name(added, "Add", "Subtract", "Average", "Maximum", "Minimum"),
    **by_name(multiplied, "Multiply"),
}
