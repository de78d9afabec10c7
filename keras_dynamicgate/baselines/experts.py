"""What the mixtures of experts share: a router and experts whose kernels are stacked."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.gating.gate_network import gate_product
from keras_dynamicgate.gating.openness import ShareOpen
from keras_dynamicgate.utils import checks

# The weights that have an axis of experts in front.
STACKED = ("hidden_kernel", "hidden_bias", "output_kernel", "output_bias")


class MixtureOfExperts(keras.layers.Layer):
    """Base class of the mixtures of feed-forward experts; not for use by itself."""

    def __init__(
        self,
        num_experts: int,
        hidden_units: int,
        units: int | None = None,
        activation: str | Callable[..., Any] | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive_integer("num_experts", num_experts)
        checks.positive_integer("hidden_units", hidden_units)
        if units is not None:
            checks.positive_integer("units", units)
        self.supports_masking = True
        self.num_experts = num_experts
        self.hidden_units = hidden_units
        self.units = units
        self.activation = keras.activations.get(activation)
        # Rounded logits would send tokens to other experts, so the router is always float32.
        self.router = keras.layers.Dense(
            num_experts, use_bias=False, dtype="float32", name="router"
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    @property
    def experts_per_token(self) -> int:
        """How many experts a token needs."""
        return self.num_experts

    def build(self, input_shape: tuple[Any, ...]) -> None:
        features = input_shape[-1]
        units = self.units or features
        self.router.build(input_shape)
        self.hidden_kernel = self._add_kernel("hidden_kernel", features, self.hidden_units)
        self.hidden_bias = self._add_bias("hidden_bias", self.hidden_units)
        self.output_kernel = self._add_kernel("output_kernel", self.hidden_units, units)
        self.output_bias = self._add_bias("output_bias", units)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def run_experts(self, tokens: Any, weights: Any) -> Any:
        """Run every expert on every token and add up their weighted outputs.

        Args:
            tokens: Tensor of shape `(tokens, features)`.
            weights: Tensor of shape `(tokens, experts)` by which each expert's output is
                multiplied.

        Returns:
            Tensor of shape `(tokens, units)`.
        """
        hidden = ops.einsum("tf,efh->teh", tokens, self.hidden_kernel)
        hidden = self.activation(ops.add(hidden, self.hidden_bias))
        weights = ops.cast(weights, hidden.dtype)
        # The second layer is linear: weights applied before it save a tensor of all outputs.
        hidden = ops.multiply(hidden, ops.expand_dims(weights, -1))
        outputs = ops.einsum("teh,ehu->tu", hidden, self.output_kernel)
        return ops.add(outputs, ops.matmul(weights, self.output_bias))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*input_shape[:-1], self.units or input_shape[-1])

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """State for the MAC count what one sample costs and which outputs are open."""
        shape = self.compute_output_shape(inputs.shape)
        running = ShareOpen(self.experts_per_token / self.num_experts)
        hidden_units = positions(shape) * self.num_experts * self.hidden_units
        products = [
            Product(hidden_units * inputs.shape[-1], inputs.open, running),
            Product(hidden_units * shape[-1], running),
            gate_product(inputs.shape, self.num_experts, inputs.open),
        ]
        return products, Flow(shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_experts": self.num_experts,
            "hidden_units": self.hidden_units,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }

    def _add_kernel(self, name: str, rows: int, columns: int) -> keras.Variable:
        shape = (self.num_experts, rows, columns)
        return self.add_weight(name=name, shape=shape, initializer=_draw_each)

    def _add_bias(self, name: str, columns: int) -> keras.Variable:
        shape = (self.num_experts, columns)
        return self.add_weight(name=name, shape=shape, initializer="zeros")


def as_tokens(inputs: Any) -> Any:
    """Make every position of `(batch, ..., features)` a row of `(tokens, features)`."""
    return ops.reshape(inputs, (-1, inputs.shape[-1]))


def as_positions(tokens: Any, inputs: Any) -> Any:
    """Put the rows of `(tokens, features)` back at their positions in the original tensor."""
    return ops.reshape(tokens, (*ops.shape(inputs)[:-1], tokens.shape[-1]))


def _draw_each(shape: tuple[int, ...], dtype: str | None = None) -> Any:
    """Draw the kernels one by one: in a stack, the experts would count as input features."""
    experts, *kernel = shape
    draws = [keras.initializers.GlorotUniform()(tuple(kernel), dtype) for _ in range(experts)]
    return ops.stack(draws)
