"""What Keras's own layers cost and what they do to closed features."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, per_channel
from keras_dynamicgate.gating.openness import (
    JoinedOpen,
    Open,
    PooledOpen,
    ReshapedOpen,
    both,
    either,
)
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import (
    IDENTITIES,
    PADDING,
    POOLING,
    PREPROCESSING,
    RESIZING,
    by_name,
)
from keras_dynamicgate.macs import products
from keras_dynamicgate.macs.products import Cost, Rule
from keras_dynamicgate.utils.types import Shape

# Arguments given by name come in any order.
TENSOR_ARGUMENTS = {keras.layers.MultiHeadAttention: ("query", "value", "key")}


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
        *PREPROCESSING,
    ),
    **by_name(pooling, *POOLING, *RESIZING, *PADDING),
    **by_name(reshape, "Flatten", "Reshape"),
    **by_name(concatenate, "Concatenate"),
    **by_name(added, "Add", "Subtract", "Average", "Maximum", "Minimum"),
    **by_name(multiplied, "Multiply"),
}
