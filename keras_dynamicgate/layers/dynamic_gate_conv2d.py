"""`DynamicGateConv2D`: a drop-in for `Conv2D` whose channels have gates."""

import math
from typing import Any, Unpack

import keras
from keras import ops

from keras_dynamicgate.gating.arguments import GatedLayerArguments, takes_gate_arguments
from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.gating.openness import PooledOpen
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import is_padded
from keras_dynamicgate.layers import lora
from keras_dynamicgate.layers.gated_product import GatedProduct
from keras_dynamicgate.utils.types import PartialShape


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
@takes_gate_arguments
class DynamicGateConv2D(GatedProduct):
    """A `keras.layers.Conv2D` that runs only the blocks of channels whose gates are open.

    `activation(convolution(inputs) + bias)` is multiplied by the mask of its gates. A gate network
    decides them once for each sample, from the mean of each input channel over all positions, so
    that it costs next to nothing beside the convolution. A closed channel is exactly 0 at all
    positions; it saves its own filter and its rows in the layer that consumes it, also through
    pooling and `Flatten`. A `BatchNormalization` in between makes another constant of it, and then
    only the filter is saved.

    All arguments of `keras.layers.Conv2D` mean the same here, and so do its attributes and methods.
    As there, a mask of the inputs ends at the layer. With `gate=None` the layer equals
    `keras.layers.Conv2D` bit for bit.

    Args:
        filters: Positive integer, the number of output channels.
        kernel_size: Integer or tuple of 2 integers, the size of the convolution window.
        strides: Integer or tuple of 2 integers. Defaults to `(1, 1)`.
        padding: `"valid"` or `"same"`. Defaults to `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `None`: that of the Keras
            configuration.
        dilation_rate: Integer or tuple of 2 integers. Defaults to `(1, 1)`.
        groups: Positive integer, the groups of channels that are convolved by themselves.
            Defaults to 1.
        activation: Activation function or its name; softmax and others across units exclude gates.
            Defaults to `None`, linear.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the bias. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output, after the gates.
        kernel_constraint: Constraint of the kernel.
        bias_constraint: Constraint of the bias.
        lora_rank: Integer, the rank of a LoRA on the kernel.
        lora_alpha: Integer, the scale of the LoRA.
        gate: `"static"`, `"linear"`, `"low_rank"`, `"mlp"`, a gate network such as
            `LowRankGate(rank=8)`, or `None` for no gates. Defaults to `"low_rank"`.
        block_size: Integer that divides `filters`, the neighbouring channels that share one gate,
            or `"auto"`: the largest divisor of `filters` that is at most `filters / 32` and 128.
            Defaults to `"auto"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.
        training: Boolean, whether masks come from the estimator or are the deterministic ones.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with
        `data_format="channels_first"`

    Output shape:
        `(batch, new_height, new_width, filters)`, or `(batch, filters, new_height, new_width)`

    Raises:
        ValueError: If an argument is outside what is allowed.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateConv2D(64, 3, block_size=16, top_k=1)
        >>> outputs = layer(keras.ops.ones((1, 8, 8, 32)))
        >>> int(np.count_nonzero(keras.ops.convert_to_numpy(outputs[0, 0, 0])))
        16

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    """

    inner_name = "conv"

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        lora_rank: Any = None,
        lora_alpha: Any = None,
        gate: GateNetwork | str | dict[str, Any] | None = "low_rank",
        block_size: int | str = "auto",
        **kwargs: Unpack[GatedLayerArguments],
    ) -> None:
        super().__init__(
            gate=gate,
            block_size=block_size,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            **self.own_arguments(),
        )
        # A mask of the inputs says nothing of the outputs, whose positions are others.
        self.supports_masking = self.conv.supports_masking
        self.add_gate(filters)
        self.check_activation(self.conv.activation)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def channel_axis(self) -> int:
        """The axis of inputs and outputs that holds the channels."""
        return 3 if self.data_format == "channels_last" else 1

    @property
    def spatial_axes(self) -> tuple[int, int]:
        """The axes of inputs and outputs that hold the positions."""
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def build(self, input_shape: PartialShape) -> None:
        self.share_path()
        lora.build(self.conv, input_shape)
        channels = input_shape[self.channel_axis]
        sizes = [self.compute_output_shape(input_shape)[axis] for axis in self.spatial_axes]
        known = math.prod(size or 1 for size in sizes)
        self.build_gate((input_shape[0], channels), known * self._macs_per_position(channels))
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={self.channel_axis: channels})

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = self.conv(inputs)
        if self.gate is None:
            return outputs
        mask = self.gate(self.gate_inputs(inputs), training=training)
        channels = ops.repeat(ops.cast(mask, outputs.dtype), self.block_size, axis=-1)
        return ops.multiply(outputs, ops.expand_dims(channels, self.spatial_axes))

    def gate_inputs(self, inputs: Any) -> Any:
        # In float32, because a sum over many positions overflows float16.
        return ops.mean(ops.cast(inputs, "float32"), axis=self.spatial_axes)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return self.conv.compute_output_shape(input_shape)

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """State for the MAC count what one sample costs and which outputs are open."""
        shape = self.compute_output_shape((1, *inputs.shape))[1:]
        channels = inputs.shape[self.channel_axis - 1]
        last = self.data_format == "channels_last"
        inputs_open = inputs.channels_read(is_padded(self.conv)) if last else None
        pixels = positions(shape) if last else math.prod(shape[1:])
        product = Product(
            pixels * self._macs_per_position(channels),
            inputs_open if self.conv.groups == 1 else None,
        )
        if last and self.conv.groups == 1:
            product.layer, product.nonzero = self.conv, inputs.nonzero
        # An activation across channels, such as softmax, needs all of them, also the closed ones,
        # and a group of channels goes as a whole.
        whole_groups = (
            self.conv.groups == 1 or self.block_size % (self.filters // self.conv.groups) == 0
        )
        own_filters = is_feature_wise(self.activation) and whole_groups
        output = Flow(shape, producers=(product,) if own_filters and last else ())
        if self.gate is None:
            return [product], output
        opening = self.gate.opening((channels,))
        if own_filters:
            product.outputs = opening
        # Descriptions are of the last axis.
        output.open = opening if last else None
        pooled = None if inputs_open is None else PooledOpen(inputs_open)
        return [product, *self.gate.network.products((channels,), pooled)], output

    def _macs_per_position(self, channels: int) -> int:
        return math.prod(self.conv.kernel_size) * channels * self.filters // self.conv.groups

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        conv = self.conv.get_config()
        del conv["name"], conv["trainable"], conv["dtype"]
        activity_regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {**config, **conv, "activity_regularizer": activity_regularizer}
