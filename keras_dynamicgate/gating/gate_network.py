"""What all gate networks share: from a layer's input to one logit per gate."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating.cost import Product, positions
from keras_dynamicgate.gating.openness import Open
from keras_dynamicgate.utils.types import PartialShape

# Under Adam and its like every weight moves about one learning rate a step, too slowly for a logit
# that has to travel from +2 to -5. What is stored is a tenth of the bias, so that it moves ten
# times as fast; Keras optimizers have no learning rates by group.
BIAS_SCALE = 10.0


@dataclasses.dataclass(frozen=True)
class AffineMap:
    """One map of a gate network: `activation(x @ kernel + bias_scale * bias)`.

    Attributes:
        kernel: Weight of shape `(inputs, outputs)`.
        bias: Weight of shape `(outputs,)`, or `None` for no bias.
        activation: Name of a Keras activation. Defaults to `"linear"`.
        bias_scale: Float that multiplies the bias. Defaults to 1.0.

    Examples:
        >>> kernel = keras.Variable(np.array([[1.0], [-2.0]]))
        >>> affine = keras_dynamicgate.AffineMap(kernel, activation="relu")
        >>> keras.ops.convert_to_numpy(affine(np.array([[3.0, 1.0]], "float32"))).tolist()
        [[1.0]]
    """

    kernel: keras.Variable
    bias: keras.Variable | None = None
    activation: str = "linear"
    bias_scale: float = 1.0

    def __call__(self, inputs: Any) -> Any:
        outputs = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            bias = self.bias if self.bias_scale == 1.0 else ops.multiply(self.bias, self.bias_scale)
            outputs = ops.add(outputs, bias)
        return keras.activations.get(self.activation)(outputs)


class GateNetwork(keras.layers.Layer):
    """Base class of the gate networks: from a layer's input to gate logits, always in float32.

    A gate network is given to a gated layer with the argument `gate`. The gated layer works on a
    copy of its own, so that one object can be given to several layers. To write another gate
    network, override `build` (create the weights, among them the bias from `add_logit_bias`) and
    `chain` (the affine maps from the input to the logits), and `get_config` if the constructor has
    arguments. From the chain follow the logits, what they cost, how the inference engine runs them,
    how `compact` makes them smaller and how `gate_model` starts them from data.

    A network that is no such chain overrides `call` (logits of shape `(..., gates)`) and `products`
    (what one sample costs) instead. It trains, is counted and runs in Keras; the engine and
    `compact` name it and leave it alone.

    Attributes:
        gates: Integer, the number of gates, set by the gated layer before the build.
        units: Integer, the number of units that the gates control, set likewise.
        initial_logit: Float, the logit that every gate starts from, set likewise.
        input_dependent: Class attribute, whether the logits differ from input to input.
        reads_outputs: Class attribute, whether the logits are made of the units that the gates
            control, before they are masked, and not of the layer's input.

    Examples:
        A linear map without a bias for each input, whose kernel starts at 0:

        >>> @keras.saving.register_keras_serializable()
        ... class FlatGate(keras_dynamicgate.GateNetwork):
        ...     def build(self, input_shape):
        ...         shape = (input_shape[-1], self.gates)
        ...         self.kernel = self.add_weight(name="kernel", shape=shape, initializer="zeros")
        ...         self.add_logit_bias()
        ...     def chain(self):
        ...         return [self.logit_map(self.kernel)]
        >>> layer = keras_dynamicgate.DynamicGateDense(64, gate=FlatGate(), block_size=16)
        >>> tuple(layer(keras.ops.ones((2, 64))).shape)
        (2, 64)
    """

    input_dependent = True
    reads_outputs = False

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.supports_masking = True
        self.gates = 0
        self.units = 0
        self.initial_logit = 0.0
        self.scaled_bias: keras.Variable | None = None

    def configure(self, *, gates: int, units: int, initial_logit: float) -> None:
        """Receive from the gated layer what the weights' shapes and starting values depend on.

        Args:
            gates: Integer, the number of gates.
            units: Integer, the number of units that the gates control.
            initial_logit: Float, the logit that every gate starts from.
        """
        self.gates = gates
        self.units = units
        self.initial_logit = initial_logit

    def add_logit_bias(self, spread: float = 0.0) -> None:
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
    def bias(self) -> Any:
        """The bias of the logits: 10 times the weight `scaled_bias`, 0 without it."""
        if self.scaled_bias is None:
            return ops.zeros((self.gates,), "float32")
        return ops.multiply(self.scaled_bias, BIAS_SCALE)

    def logit_map(self, kernel: keras.Variable) -> AffineMap:
        """Give the last map of a chain: a kernel of shape `(..., gates)` and the logits' bias."""
        return AffineMap(kernel, self.scaled_bias, bias_scale=BIAS_SCALE)

    def chain(self) -> list[AffineMap] | None:
        """Give the affine maps from the input to the logits, the first one first.

        Returns:
            List of `AffineMap`, empty if the logits are the bias alone; `None`, as here, if the
            network is something else.
        """
        return None

    def affine_maps(self) -> list[AffineMap] | None:
        """Give the `chain` if the logits are computed by it, `None` if `call` is another one."""
        return self.chain() if type(self).call is GateNetwork.call else None

    def call(self, inputs: Any) -> Any:
        chain = self.chain()
        if chain is None:
            raise NotImplementedError(
                f"Gate network {type(self).__name__} must override `chain`, or `call` and "
                "`products`."
            )
        for affine in chain:
            inputs = affine(inputs)
        return inputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (*input_shape[:-1], self.gates)

    def products(self, shape: tuple[int, ...], inputs_open: Open | None) -> list[Product]:
        """List the matrix products that the logits of one sample take.

        Args:
            shape: Tuple of integers, the input's shape without the batch axis.
            inputs_open: Which input features are open, `None` if all are.

        Returns:
            The products, marked as gate products; an empty list if there are none.
        """
        chain = self.chain()
        if chain is None:
            raise NotImplementedError(
                f"Gate network {type(self).__name__} must override `products`, since it has no "
                "`chain`."
            )
        opens = [inputs_open, *[None] * len(chain)]
        return [
            gate_product((*shape[:-1], affine.kernel.shape[0]), affine.kernel.shape[1], is_open)
            for affine, is_open in zip(chain, opens, strict=False)
        ]

    def built_config(self) -> dict[str, Any]:
        """Give the config with what the build chose, so that other shapes choose no other way."""
        return self.get_config()

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        del config["dtype"]  # always float32
        return config


def gate_product(shape: tuple[int, ...], outputs: int, inputs_open: Open | None) -> Product:
    """Describe the product of a gate network's input with a kernel of `outputs` columns."""
    macs = positions(shape) * shape[-1] * outputs
    return Product(macs, inputs=inputs_open, of_gate=True)
