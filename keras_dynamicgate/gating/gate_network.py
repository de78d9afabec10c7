"""What all gate networks share: from a layer's input to one logit per gate."""

import keras
from keras import ops

from keras_dynamicgate.gating.cost import Product, positions
from keras_dynamicgate.gating.openness import Open

# Under Adam and its like every weight moves about one learning rate a step, too slowly for a logit
# that has to travel from +2 to -5. What is stored is a tenth of the bias, so that it moves ten
# times as fast; Keras optimizers have no learning rates by group.
BIAS_SCALE = 10.0


class GateNetwork(keras.layers.Layer):
    """Base class of the gate networks: from a layer's input to gate logits, always in float32.

    A gate network is given to a gated layer with the argument `gate`. The gated layer works on a
    copy of its own, so that one object can be given to several layers. To write another gate
    network, override `build` (create the weights, among them the bias from `add_logit_bias`),
    `call` (logits of shape `(..., gates)`), `products` (what one sample costs) and `get_config`.

    Attributes:
        gates: Integer, the number of gates, set by the gated layer before the build.
        units: Integer, the number of units that the gates control, set likewise.
        initial_logit: Float, the logit that every gate starts from, set likewise.

    Examples:
        Gates that see only how large the input is:

        >>> @keras.saving.register_keras_serializable()
        ... class NormGate(keras_dynamicgate.GateNetwork):
        ...     def build(self, input_shape):
        ...         self.add_logit_bias()
        ...     def call(self, inputs):
        ...         return keras.ops.norm(inputs, axis=-1, keepdims=True) + self.bias
        ...     def products(self, shape, inputs_open):
        ...         return []  # no matrix product, so nothing to count
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=NormGate())
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)
    """

    input_dependent = True

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_masking = True
        self.gates: int | None = None
        self.units: int | None = None
        self.initial_logit = 0.0

    def configure(self, *, gates, units, initial_logit):
        """Receive from the gated layer what the weights' shapes and starting values depend on."""
        self.gates = gates
        self.units = units
        self.initial_logit = initial_logit

    def add_logit_bias(self, spread=0.0):
        """Create the weight `scaled_bias`, such that all gates open as far as was asked.

        Args:
            spread: Float from 0 to 1, how far single gates may start from `initial_logit`, as a
                share of it. Defaults to 0.0.
        """
        start = self.initial_logit / BIAS_SCALE
        reach = spread * abs(start)
        self.scaled_bias = self.add_weight(
            name="scaled_bias",
            shape=(self.gates,),
            initializer=keras.initializers.RandomUniform(start - reach, start + reach),
        )

    @property
    def bias(self):
        """The bias of the logits, of shape `(gates,)`: 10 times the weight `scaled_bias`."""
        return ops.multiply(self.scaled_bias, BIAS_SCALE)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.gates)

    def products(self, shape, inputs_open: Open | None) -> list[Product]:
        """List the matrix products that the logits of one sample take.

        Args:
            shape: Tuple of integers, the input's shape without the batch axis.
            inputs_open: Which input features are open, `None` if all are.

        Returns:
            The products, marked as gate products; an empty list if there are none.
        """
        raise NotImplementedError

    def get_config(self):
        config = super().get_config()
        del config["dtype"]  # always float32
        return config


def gate_product(shape, outputs, inputs_open):
    """Describe the product of a gate network's input with a kernel of `outputs` columns."""
    macs = positions(shape) * shape[-1] * outputs
    return Product(macs, inputs=inputs_open, of_gate=True)


def two_gate_products(shape, hidden, gates, inputs_open):
    """Describe the products of a gate network with one hidden layer, linear or not."""
    return [
        gate_product(shape, hidden, inputs_open),
        gate_product((*shape[:-1], hidden), gates, None),
    ]
