"""`DynamicGateDense`: a drop-in for `Dense` whose units have gates."""

import inspect
from typing import Any, Unpack

import keras

from keras_dynamicgate.gating.arguments import GatedLayerArguments, takes_gate_arguments
from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.layers import lora
from keras_dynamicgate.layers.gated_layer import GatedLayer, mask_blocks
from keras_dynamicgate.layers.gated_product import GatedProduct
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
@takes_gate_arguments
class DynamicGateDense(GatedProduct):
    """A `keras.layers.Dense` that runs only the blocks of units whose gates are open.

    `activation(inputs @ kernel + bias)` is multiplied by the mask of its gates, which a gate
    network decides from the layer's input. A closed unit is exactly 0; it saves its own column
    and its row in the layer that consumes it. In training, masks are hard, too, and gradients
    reach the gates by the straight-through estimator.

    All arguments of `keras.layers.Dense` mean the same here, and so do its attributes and methods:
    `kernel`, `use_bias`, `kernel_regularizer`, `enable_lora`, `quantize` ... can be read, set and
    called as there, and weights have the paths that they have there. With `gate=None` the layer
    equals `keras.layers.Dense` bit for bit.

    Args:
        units: Positive integer, the size of the output.
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
        quantization_config: As in `keras.layers.Dense`.
        gate: `"static"`, `"linear"`, `"low_rank"`, `"mlp"`, a gate network such as
            `LowRankGate(rank=8)`, or `None` for no gates. Defaults to `"low_rank"`.
        block_size: Integer that divides `units`, the neighbouring units that share one gate, or
            `"auto"`: the largest divisor of `units` that is at most `units / 32` and 128.
            Defaults to `"auto"`.
        dense: A layer like `keras.layers.Dense` with as many units, to gate in place of a new one,
            such as `keras_dynamicgate.baselines.RigLDense`. The other arguments of
            `keras.layers.Dense`, `activity_regularizer` apart, are then given to it. Defaults to
            `None`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`. Each position has gates of its own.
        training: Boolean, whether masks come from the estimator or are the deterministic ones.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Raises:
        ValueError: If an argument is outside what is allowed.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(64, block_size=16, top_k=1)
        >>> outputs = keras.ops.convert_to_numpy(layer(keras.ops.ones((1, 64))))
        >>> int(np.count_nonzero(outputs))
        16

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    """

    inner_name = "dense"

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: Any = None,
        lora_alpha: Any = None,
        quantization_config: Any = None,
        *,
        gate: GateNetwork | str | dict[str, Any] | None = "low_rank",
        block_size: int | str = "auto",
        dense: keras.layers.Layer | None = None,
        **kwargs: Unpack[GatedLayerArguments],
    ) -> None:
        super().__init__(
            gate=gate,
            block_size=block_size,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        # Keras versions without this argument take the layer, too.
        optional = (
            {"quantization_config": quantization_config} if quantization_config is not None else {}
        )
        arguments = {
            "activation": activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
            "lora_rank": lora_rank,
            "lora_alpha": lora_alpha,
            **optional,
        }
        checks.positive_integer("units", units)
        self._dense_was_given = dense is not None
        # Composition, not a subclass: a subclass of Dense with further weights cannot be loaded
        # again, and quantization refuses it.
        if dense is None:
            self.dense = keras.layers.Dense(units, **arguments, **self.own_arguments())
        else:
            _check_given(dense, units, arguments)
            self.dense = dense
        self.add_gate(units)
        self.check_activation(self.dense.activation)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: PartialShape) -> None:
        if not self.dense.built:
            self.share_path()
            lora.build(self.dense, input_shape)
        self.build_gate(input_shape, input_shape[-1] * self.units, self.units)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = self.dense(inputs, training=training)
        if self.gate is None:
            return outputs
        seen = outputs if self.gate.network.reads_outputs else inputs
        return mask_blocks(outputs, self.gate(seen, training=training), self.block_size)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (*input_shape[:-1], self.units)

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """State for the MAC count what one sample costs and which outputs are open."""
        shape = (*inputs.shape[:-1], self.units)
        macs = positions(shape) * inputs.shape[-1] * self.units
        # Only a layer with sparse weights says which of them it keeps.
        product = Product(macs, inputs.open, kept=getattr(self.dense, "kept", None))
        # An activation across units, such as softmax, needs all of them, also the closed ones.
        own_columns = is_feature_wise(self.activation)
        output = Flow(shape, producers=(product,) if own_columns else ())
        if self.gate is None:
            return [product], output
        output.open = self.gate.opening(inputs.shape)
        # What decides from the units themselves needs all of them.
        if own_columns and not self.gate.network.reads_outputs:
            product.outputs = output.open
        gate_products = self.gate.network.products(inputs.shape, inputs.open)
        return [product, *gate_products], output

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._dense_was_given:
            given = keras.saving.serialize_keras_object(self.dense)
            dense = {"units": self.units, "dense": given}
        else:
            dense = self.dense.get_config()
            del dense["name"], dense["trainable"], dense["dtype"]
        activity_regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {**config, **dense, "activity_regularizer": activity_regularizer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GatedLayer":
        config = dict(config)
        for name in ("quantization_config", "dense"):
            config[name] = keras.saving.deserialize_keras_object(config.get(name))
        return super().from_config(config)


def _check_given(dense: keras.layers.Layer | None, units: int, arguments: dict[str, Any]) -> None:
    """Raise a `ValueError` unless a layer can be gated in place of a new `keras.layers.Dense`."""
    if not isinstance(dense, keras.layers.Layer) or not hasattr(dense, "activation"):
        raise ValueError(
            "Argument `dense` must be a layer like `keras.layers.Dense`, such as "
            f"`keras_dynamicgate.baselines.RigLDense`. Received: dense={dense!r}"
        )
    if getattr(dense, "units", None) != units:
        raise ValueError(
            "Argument `dense` must be a layer with as many units as `units` says. Received: "
            f"units={units!r}, dense={dense!r} with units={getattr(dense, 'units', None)!r}"
        )
    defaults = inspect.signature(DynamicGateDense.__init__).parameters
    besides = [name for name, value in arguments.items() if value != defaults[name].default]
    if besides:
        raise ValueError(
            f"Arguments {', '.join(f'`{name}`' for name in besides)} exclude `dense`: give them to "
            f"the layer that is gated. Received: dense={dense!r}"
        )
