"""`DynamicGateMLP`: a feed-forward block whose hidden units have gates."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_dynamicgate.gating.arguments import GatedLayerArguments, takes_gate_arguments
from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.layers import lora
from keras_dynamicgate.layers.gated_layer import GatedLayer, mask_blocks
from keras_dynamicgate.layers.skipping.feed_forward import EXECUTIONS, feed_forward, pays
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape

# Arguments of `keras.layers.Dense` that all layers inside have in common.
SHARED = (
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


def _setting(name: str) -> property:
    """Make the property of an argument that all layers inside have in common."""

    def get(layer: "DynamicGateMLP") -> Any:
        return getattr(layer.hidden_dense, name)

    def set_all(layer: "DynamicGateMLP", value: Any) -> None:
        for dense in layer.dense_layers:
            setattr(dense, name, value)

    return property(get, set_all, doc=f"As the argument `{name}`, of all kernels or biases.")


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
@takes_gate_arguments
class DynamicGateMLP(GatedLayer):
    """Dense, activation, gates, Dense in one layer: a closed hidden unit saves both products.

    This is the feed-forward block of an MLP or a transformer. The gates of the hidden units are
    decided from the layer's input, for each position by itself.

    With `execution="skip"` closed blocks of hidden units are not computed at inference. The outputs
    are those of `execution="masked"` up to rounding; training is always masked.

    - JAX: a compiled loop over the open blocks. TensorFlow: the same, compiled by XLA for each
      batch size, also in eager calls.
    - PyTorch: a loop over the open blocks in eager calls, Keras's default. `torch.compile` and
      `torch.export` skip with `top_k` only, for static gates or a single position.

    Where skipping cannot pay or is not possible, the layer quietly runs masked: on accelerators, in
    blocks with fewer than 65,536 weights (PyTorch: 131,072; a block has
    `block_size * (features + units)`), where about two thirds or more of the work is open, in other
    precisions than float32 and float64 (mixed precision too), with inner layers that are quantized
    or have a LoRA, and with activations that mix units or are not Keras's own. `"masked"` is the
    one that exports everywhere.

    Args:
        hidden_units: Positive integer, the number of gated hidden units.
        units: Positive integer, the size of the output.
        activation: Activation function of the hidden units or its name. One across units, such as
            softmax, is that of all of them; what it gives closed units is lost.
            Defaults to `"relu"`.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the biases. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernels.
        bias_regularizer: Regularizer of the biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint of the kernels.
        bias_constraint: Constraint of the biases.
        lora_rank: Integer, the rank of a LoRA on each kernel, or a list with one for each.
        lora_alpha: Integer, the scale of the LoRAs, or a list with one for each.
        gated_linear: Boolean, whether the hidden units are
            `activation(x @ hidden_kernel) * (x @ linear_kernel)`, as in SwiGLU.
            Defaults to `False`.
        gate: `"static"`, `"linear"`, `"low_rank"`, `"mlp"`, a gate network such as
            `LowRankGate(rank=8)`, or `None` for no gates. Defaults to `"low_rank"`.
        block_size: Integer that divides `hidden_units`, the neighbouring units that share one
            gate, or `"auto"`: the largest divisor of `hidden_units` that is at most
            `hidden_units / 32` and 128. Defaults to `"auto"`.
        execution: `"masked"` (compute everything and multiply by the mask) or `"skip"` (do not
            compute closed blocks), at inference. Defaults to `"masked"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.
        training: Boolean, whether masks come from the estimator or are the deterministic ones.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Attributes:
        execution: As the argument. It may be changed at any time, also on a loaded model; a model
            that has already predicted or evaluated has compiled the old one and needs
            `model.make_predict_function(force=True)` or `make_test_function(force=True)`.

    Raises:
        ValueError: If an argument is outside what is allowed.

    Examples:
        >>> block = keras_dynamicgate.DynamicGateMLP(256, 32, activation="gelu")
        >>> tuple(block(keras.ops.ones((2, 10, 32))).shape)
        (2, 10, 32)

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    - Shazeer, 2020 (arXiv 2002.05202), for `gated_linear`
    """

    def __init__(
        self,
        hidden_units: int,
        units: int,
        activation: Any = "relu",
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
        gated_linear: bool = False,
        gate: GateNetwork | str | dict[str, Any] | None = "low_rank",
        block_size: int | str = "auto",
        execution: str = "masked",
        **kwargs: Unpack[GatedLayerArguments],
    ) -> None:
        super().__init__(
            gate=gate,
            block_size=block_size,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        shared = {
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
            "dtype": self.dtype_policy,
            "autocast": self.autocast,
        }
        self.execution = execution
        self.gated_linear = gated_linear
        self.hidden_dense = _dense(hidden_units, activation, "hidden", shared)
        self.linear_dense = _dense(hidden_units, None, "linear", shared) if gated_linear else None
        self.output_dense = _dense(units, None, "output", shared)
        lora.set_argument(self.dense_layers, "lora_rank", lora_rank)
        lora.set_argument(self.dense_layers, "lora_alpha", lora_alpha)
        self.add_gate(hidden_units)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    use_bias = _setting("use_bias")
    kernel_initializer = _setting("kernel_initializer")
    bias_initializer = _setting("bias_initializer")
    kernel_regularizer = _setting("kernel_regularizer")
    bias_regularizer = _setting("bias_regularizer")
    kernel_constraint = _setting("kernel_constraint")
    bias_constraint = _setting("bias_constraint")

    @property
    def activation(self) -> Any:
        """The activation function of the hidden units."""
        return self.hidden_dense.activation

    @activation.setter
    def activation(self, activation: Any) -> None:
        self.hidden_dense.activation = activation

    @property
    def dtype_policy(self) -> Any:
        """The dtype policy; one that is set is also that of the layers inside."""
        return super().dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        for dense in self.dense_layers:
            dense.dtype_policy = policy
        if keras.dtype_policies.get(policy).quantization_mode is None or not self.built:
            keras.layers.Layer.dtype_policy.fset(self, policy)

    @property
    def execution(self) -> str:
        """How inference runs: `"masked"` or `"skip"`."""
        return self._execution

    @execution.setter
    def execution(self, execution: str) -> None:
        checks.one_of("execution", execution, EXECUTIONS)
        self._execution = execution

    @property
    def dense_layers(self) -> list[keras.layers.Layer]:
        """The Keras layers inside, which quantization works on."""
        layers = [self.hidden_dense, self.linear_dense, self.output_dense]
        return [layer for layer in layers if layer is not None]

    @property
    def skips(self) -> bool:
        """Whether inference leaves closed blocks out on a CPU, once the layer is built."""
        if self.execution != "skip" or self.gate is None:
            return False
        return pays(self, self.input_spec.axes[-1])

    def enable_lora(self, rank: int, **kwargs: Any) -> None:
        """Add a LoRA to each kernel, as `keras.layers.Dense.enable_lora` does."""
        for layer in self.dense_layers:
            layer.enable_lora(rank, **kwargs)

    @property
    def hidden_units(self) -> int:
        """The number of gated hidden units."""
        return self.hidden_dense.units

    @property
    def units(self) -> int:
        """The size of the output."""
        return self.output_dense.units

    def build(self, input_shape: PartialShape) -> None:
        hidden_shape = (*input_shape[:-1], self.hidden_units)
        lora.build(self.hidden_dense, input_shape)
        if self.linear_dense is not None:
            lora.build(self.linear_dense, input_shape)
        lora.build(self.output_dense, hidden_shape)
        width = (2 if self.gated_linear else 1) * input_shape[-1] + self.units
        self.build_gate(input_shape, self.hidden_units * width, self.hidden_units)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Any, training: bool = False) -> Any:
        reads_units = self.gate is not None and self.gate.network.reads_outputs
        mask = None
        if self.gate is not None and not reads_units:
            mask = self.gate(inputs, training=training)
        if self.execution == "skip" and mask is not None and not training:
            outputs = feed_forward(self, inputs, mask)
            if outputs is not None:
                return outputs
        hidden = self.hidden_dense(inputs, training=training)
        if reads_units:
            mask = self.gate(hidden, training=training)
        if self.linear_dense is not None:
            hidden = ops.multiply(hidden, self.linear_dense(inputs, training=training))
        if mask is not None:
            hidden = mask_blocks(hidden, mask, self.block_size)
        return self.output_dense(hidden, training=training)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (*input_shape[:-1], self.units)

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """State for the MAC count what one sample costs and which outputs are open."""
        shape = (*inputs.shape[:-1], self.units)
        opening, gate_products = None, []
        if self.gate is not None:
            opening = self.gate.opening(inputs.shape)
            gate_products = self.gate.network.products(inputs.shape, inputs.open)
        # An activation across units, such as softmax, needs all of them, also the closed ones.
        columns = opening if is_feature_wise(self.hidden_dense.activation) else None
        into_hidden = positions(shape) * inputs.shape[-1] * self.hidden_units
        # What decides from the units themselves needs all of them.
        reads_units = self.gate is not None and self.gate.network.reads_outputs
        products = [Product(into_hidden, inputs.open, None if reads_units else columns)]
        if self.gated_linear:
            products.append(Product(into_hidden, inputs.open, columns))
        output = Product(positions(shape) * self.hidden_units * self.units, opening)
        return [*products, output, *gate_products], Flow(shape, producers=(output,))

    def get_config(self) -> dict[str, Any]:
        dense = self.hidden_dense.get_config()
        shared = {name: dense[name] for name in ("activation", *SHARED)}
        return {
            **super().get_config(),
            **shared,
            **lora.arguments(self.dense_layers),
            "hidden_units": self.hidden_units,
            "units": self.units,
            "gated_linear": self.gated_linear,
            "execution": self.execution,
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
        }


def _dense(units: int, activation: Any, name: str, shared: dict[str, Any]) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation=activation, name=name, **shared)
