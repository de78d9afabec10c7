"""`DynamicGate`: gates on the features of any tensor."""

import keras

from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.gating.openness import both
from keras_dynamicgate.layers.gated_layer import GatedLayer, mask_blocks, resolve_block_size


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
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
        temperature: Float above 0 that divides the gate logits. Defaults to 1.0.
        threshold: Float between 0 and 1; gates open where their probability exceeds it.
            Defaults to 0.5.
        top_k: Integer, the number of gates to open in place of the threshold. Defaults to `None`.
        estimator: How training makes masks: `"logistic"` (threshold after logistic noise),
            `"threshold"` (no noise), `"bernoulli"` (sampled, as in dropout) or `"soft"` (no mask,
            for ablations). Defaults to `"logistic"`.
        initial_open: Float between 0 and 1, the gate probability at the start. Defaults to 0.9.
        min_open: Float from 0 to 1, the share of the gates that stays open. Defaults to 0.0.
        usage_regularizer: Regularizer of the gate probabilities, such as `UsagePenalty(0.01)`,
            added to the loss in training. Defaults to `None`.
        seed: Integer that fixes the noise in training. Defaults to `None`, a random one.
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
        gate="static",
        block_size=1,
        *,
        temperature=1.0,
        threshold=0.5,
        top_k=None,
        estimator="logistic",
        initial_open=0.9,
        min_open=0.0,
        usage_regularizer=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            gate=gate,
            block_size=block_size,
            usage_regularizer=usage_regularizer,
            gate_arguments={
                "temperature": temperature,
                "threshold": threshold,
                "top_k": top_k,
                "estimator": estimator,
                "initial_open": initial_open,
                "min_open": min_open,
                "seed": seed,
            },
            **kwargs,
        )
        self.add_gate(None)

    def build(self, input_shape):
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

    def call(self, inputs, training=False):
        if self.gate is None:
            return inputs
        return mask_blocks(inputs, self.gate(inputs, training=training), self.block_size)

    def compute_output_shape(self, input_shape):
        return input_shape

    def cost(self, inputs: Flow):
        """State for the MAC count what one sample costs and which outputs are open."""
        if self.gate is None:
            return [], inputs
        opening = self.gate.opening(inputs.shape)
        products = self.gate.network.products(inputs.shape, inputs.open)
        output = Flow(inputs.shape, both(inputs.open, opening))
        if not self.gate.input_dependent:
            output.producers = inputs.producers
            for product in inputs.producers:
                product.outputs = both(product.outputs, opening)
        return products, output
