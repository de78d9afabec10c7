"""What the gated layers share: their gate arguments, and masking a tensor block by block."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.gating import arguments, networks
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.graph.state import forget_parameters
from keras_dynamicgate.layers import quantized
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import PartialShape

WARN_SHARE = 0.25
AUTO_GATES = 32
AUTO_BLOCK_LIMIT = 128


class GatedLayer(keras.layers.Layer):
    """Base class of the layers that own a `Gate`; not for use by itself."""

    def __init__(
        self,
        *,
        gate: GateNetwork | str | dict[str, Any] | None,
        block_size: int | str,
        **kwargs: Any,
    ) -> None:
        gate_arguments = arguments.take(kwargs)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.gate: Any = None  # a `Gate`, or `None` without gates
        self.block_size: Any = block_size
        self._gate_config = {
            "gate": networks.serialize(gate),
            "block_size": block_size,
            **gate_arguments,
            "usage_regularizer": keras.regularizers.serialize(
                keras.regularizers.get(gate_arguments["usage_regularizer"])
            ),
        }

    def own_arguments(self) -> dict[str, Any]:
        """Give the arguments of this layer that a Keras layer in its place has, too."""
        return {"name": self.name, "dtype": self.dtype_policy, "autocast": self.autocast}

    def add_gate(self, units: int | None) -> None:
        """Create the gate of `units` units (`None`: not known before the build), if there is one.

        To be called when the layers inside are there: those of a frozen layer are frozen as well.

        Raises:
            ValueError: If a gate argument is outside what is allowed.
        """
        config = dict(self._gate_config)
        network = config.pop("gate")
        self.block_size = resolve_block_size(config.pop("block_size"), units)
        gates = None if units is None else units // self.block_size
        if network is None:
            arguments.check(config, gates)
        else:
            self.gate = Gate(network, gates, block_size=self.block_size, name="gate", **config)
        for layer in graph.all_layers(self, recursive=False) if not self.trainable else ():
            layer.trainable = False

    def build_gate(
        self, input_shape: PartialShape, gated_macs: int, units: int | None = None
    ) -> None:
        """Build the gate, if there is one, and warn if it costs over a quarter of what it gates.

        Args:
            input_shape: Tuple, the shape of the layer's input with the batch axis.
            gated_macs: Integer, the multiply-accumulates per position that the gates can close.
            units: Integer, the number of units where a gate network may read these. Defaults to
                `None`: none may.

        Raises:
            ValueError: If the gate network reads units and may not.
        """
        if self.gate is None:
            return
        seen = input_shape
        if self.gate.network.reads_outputs:
            seen = (*input_shape[:-1], self._readable(units))
        self.gate.build(seen)
        products = self.gate.network.products(input_shape[-1:], None)
        share = sum(product.macs for product in products) / gated_macs
        if share > WARN_SHARE:
            warnings.warn(
                f"The gate network of layer {self.name!r} costs {share:.0%} of the "
                "multiply-accumulates that it gates, so little can be saved. Use a larger "
                "`block_size`, a smaller gate network such as `LowRankGate(rank=1)`, or "
                'gate="static".',
                stacklevel=2,
            )

    def _readable(self, units: int | None) -> int:
        if units is None:
            raise ValueError(
                f"Argument `gate` must be a gate network that reads the input in layer "
                f"{self.name!r}, which is a {type(self).__name__}. "
                f"Received: gate={type(self.gate.network).__name__}"
            )
        return units

    def gate_inputs(self, inputs: Any) -> Any:
        """Give what the gate network sees of the layer's inputs."""
        return inputs

    @property
    def dense_layers(self) -> list[keras.layers.Layer]:
        """The Keras layers inside, which quantization works on."""
        return []

    def quantize(self, mode: str | None = None, **kwargs: Any) -> None:
        """Quantize the Keras layers inside, each as its own `quantize` does."""
        if not self.dense_layers:
            super().quantize(mode, **kwargs)  # says that there is nothing to quantize
        for layer in self.dense_layers:
            layer.quantize(mode, **kwargs)
        forget_parameters(self)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer under a quantized dtype policy, which is that of the layers inside."""
        return self.call(*args, **kwargs)

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave what is to be recomputed to the layers inside: gates set weights when called."""
        return layer_call

    def build_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config)
        # Where files of version 0.1 keep how the inner layers are quantized.
        policies = config.pop("dense_dtype_policies", ())
        for layer, policy in zip(self.dense_layers, policies, strict=False):
            layer.dtype_policy = keras.dtype_policies.deserialize(policy)
        super().build_from_config(config)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **self._gate_config}
        # Quantization changes the inner layers after construction.
        quantization = [quantized.serialize(layer) for layer in self.dense_layers]
        return {**config, "quantization": quantization} if any(quantization) else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GatedLayer":
        config = dict(config)
        quantization = config.pop("quantization", ())
        layer = super().from_config(config)
        for inner, how in zip(layer.dense_layers, quantization, strict=False):
            if how is not None and inner.quantization_mode is None:
                quantized.restore(inner, how)
        return layer


def resolve_block_size(block_size: int | str, units: int | None) -> int:
    """Choose or check the block size of a layer.

    `"auto"` takes the largest divisor of `units` that is at most `units / 32` and at most 128:
    about 32 gates, so that the gate network stays cheap.

    Args:
        block_size: Positive integer or `"auto"`.
        units: Integer, or `None` if it is not known yet; an integer is then checked for its sign.

    Returns:
        The block size as an integer.

    Raises:
        ValueError: If `block_size` is no positive integer or does not divide `units`.
    """
    if block_size == "auto" and units is not None:
        largest = max(1, min(units // AUTO_GATES, AUTO_BLOCK_LIMIT))
        return next(size for size in range(largest, 0, -1) if units % size == 0)
    if isinstance(block_size, str):
        raise ValueError(
            "Argument `block_size` must be a positive integer or, where the layer knows its units, "
            f'"auto". Received: block_size={block_size!r}'
        )
    checks.positive_integer("block_size", block_size)
    if units is not None:
        checks.block_size(block_size, units)
    return block_size


def mask_blocks(outputs: Any, mask: Any, block_size: int) -> Any:
    """Multiply every block of units by its gate.

    Args:
        outputs: Tensor of shape `(..., units)`.
        mask: Tensor that broadcasts to `(..., units / block_size)`.
        block_size: Integer, the units that share one gate.

    Returns:
        A tensor with the shape and dtype of `outputs`.
    """
    mask = ops.cast(mask, outputs.dtype)
    if block_size == 1:
        return ops.multiply(outputs, mask)
    # Broadcasting over a block axis spares the memory traffic of a repeated mask.
    shape = ops.shape(outputs)
    blocks = ops.reshape(outputs, (*shape[:-1], shape[-1] // block_size, block_size))
    return ops.reshape(ops.multiply(blocks, ops.expand_dims(mask, -1)), shape)


def gated_layers(model: keras.layers.Layer) -> list[GatedLayer]:
    """List the layers of a model that have a gate, layers inside layers included.

    Args:
        model: Any Keras model.

    Returns:
        List of `GatedLayer`, without those made with `gate=None`.
    """
    # `model.layers` would miss gated layers inside composite layers.
    return [
        layer
        for layer in graph.all_layers(model)
        if isinstance(layer, GatedLayer) and layer.gate is not None
    ]
