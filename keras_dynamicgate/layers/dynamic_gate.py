"""`DynamicGate`: gates on the features of any tensor."""

from typing import Any, Unpack

import keras

from keras_dynamicgate.gating.arguments import GatedLayerArguments, takes_gate_arguments
from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.gating.openness import both
from keras_dynamicgate.layers.gated_layer import GatedLayer, mask_blocks, resolve_block_size
from keras_dynamicgate.utils.types import PartialShape


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
@takes_gate_arguments
class DynamicGate(GatedLayer):
    """Closes features, the last axis, of any tensor: they become exactly 0.

    What a closed feature saves is its row in the layer that consumes it. With static gates, the
    default, it also saves its column in a `Dense` or convolution before it, and `compact` removes
    both. On the input of a model, static gates find out which features matter at all.

    Args:
        gate: `"static"`, `"linear"`, `"low_rank"`, `"mlp"` or a gate network such as
            `LowRankGate(rank=8)`. Defaults to `"static"`.
        block_size: Integer, the neighbouring features that share one gate; divides the size of the
            last axis. Defaults to 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`. Input-dependent gates decide for each
            position by itself.
        training: Boolean, whether masks come from the estimator or are the deterministic ones.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        The same as the input shape.

    Raises:
        ValueError: If an argument is outside what is allowed.

    Examples:
        >>> gate = keras_dynamicgate.DynamicGate(top_k=2)
        >>> outputs = gate(keras.ops.ones((1, 64)))
        >>> int(np.count_nonzero(keras.ops.convert_to_numpy(outputs)))
        2

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    """

    def __init__(
        self,
        gate: GateNetwork | str | dict[str, Any] | None = "static",
        block_size: int | str = 1,
        **kwargs: Unpack[GatedLayerArguments],
    ) -> None:
        super().__init__(
            gate=gate,
            block_size=block_size,
            **kwargs,
        )
        self.add_gate(None)

    def build(self, input_shape: PartialShape) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                "The last axis of the inputs of `DynamicGate` must have a known size. "
                f"Received: input_shape={input_shape}"
            )
        resolve_block_size(self.block_size, features)
        if self.gate is not None:
            self.gate.gates = features // self.block_size
            # Not by `build_gate`, which warns: what these gates save is known to other layers.
            self.gate.build(input_shape)
        self.input_spec = keras.layers.InputSpec(axes={-1: features})

    def call(self, inputs: Any, training: bool = False) -> Any:
        if self.gate is None:
            return inputs
        return mask_blocks(inputs, self.gate(inputs, training=training), self.block_size)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """State for the MAC count what one sample costs and which outputs are open."""
        if self.gate is None:
            return [], inputs
        opening = self.gate.opening(inputs.shape)
        products = self.gate.network.products(inputs.shape, inputs.open)
        output = Flow(inputs.shape, both(inputs.nonzero, opening))
        if not self.gate.input_dependent:
            output.producers = inputs.producers
            for product in inputs.producers:
                product.outputs = both(product.outputs, opening)
        return products, output
